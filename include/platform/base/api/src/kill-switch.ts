/** The kill switch: an event for the workers, which reject every order after it while it is on. */

import { patiently } from "./patience";
import { boolean, objectOf } from "./requests";
import type { Store } from "./store";

/** Raises InvalidRequestError. */
export function parseKillSwitch(body: unknown): boolean {
  return boolean(objectOf(body).on, "on");
}

/** Written twice it says the same, so it may be repeated. */
export async function setKillSwitch(store: Store, isOn: boolean, at: Date): Promise<void> {
  await patiently(() => store.append("control", { kill_switch: isOn ? "1" : "0", at: at.toISOString() }));
}
