/** Feature flags, through the OpenFeature SDK, from a file that is read again when it changes. Unknown means off. */

import { readFile, stat } from "node:fs/promises";

import { OpenFeature, TypedInMemoryProvider } from "@openfeature/server-sdk";

export type Flag = "github-login" | "backtest-dashboard";

const provider = new TypedInMemoryProvider();
let readAt: number | undefined;
let isReady: Promise<void> | undefined;

/** Whether the flag is on; off while the file is missing or cannot be read. */
export async function isOn(flag: Flag): Promise<boolean> {
  isReady ??= OpenFeature.setProviderAndWait(provider);
  await isReady;
  await readAgain(process.env.FLAGS_FILE);
  return OpenFeature.getClient().getBooleanValue(flag, false);
}

async function readAgain(path: string | undefined): Promise<void> {
  try {
    if (!path) throw new Error("no file");
    const { mtimeMs } = await stat(path);
    if (mtimeMs === readAt) return;
    const flags = flagsOf(JSON.parse(await readFile(path, "utf8")));
    provider.putConfiguration(
      Object.fromEntries(
        Object.entries(flags).map(([name, on]) => [
          name,
          { disabled: false, variants: { on: true, off: false }, defaultVariant: on ? ("on" as const) : ("off" as const) },
        ]),
      ),
    );
    readAt = mtimeMs;
  } catch {
    provider.putConfiguration({});
    readAt = undefined;
  }
}

function flagsOf(value: unknown): Record<string, boolean> {
  const flags = typeof value === "object" && value !== null && "flags" in value ? value.flags : undefined;
  if (typeof flags !== "object" || flags === null) throw new Error("expected {\"flags\": {…}}");
  return Object.fromEntries(Object.entries(flags).filter((entry): entry is [string, boolean] => typeof entry[1] === "boolean"));
}
