import { createClient } from "@redis/client";

import { patiently } from "../src/patience";
import { RedisRisk } from "../src/risk";
import { RedisStore } from "../src/store";
import { fill } from "./memory-store";
import { isRedisInstalled, RedisServer } from "./redis-server";

// Its type is inferred: to relate two types of this client takes the compiler seconds.
const connected = (url: string) => createClient({ url }).connect();

const withRedis = isRedisInstalled() ? describe : describe.skip;

withRedis("with a real Redis", () => {
  const server = new RedisServer();
  let store: RedisStore;
  let worker: Awaited<ReturnType<typeof connected>>;

  beforeAll(async () => {
    await server.start();
    store = new RedisStore(server.url, () => undefined);
    worker = await connected(server.url);
    await patiently(() => store.ping());
  });
  beforeEach(() => worker.flushAll());
  afterAll(async () => {
    store.close();
    worker.destroy();
    await server.remove();
  });

  async function filled(order_id: string, changes: Record<string, string> = {}): Promise<string> {
    return worker.xAdd("fills", "*", fill({ order_id, quantity: "2", price: "10", ...changes }));
  }

  test("nothing at all is no exposure", async () => {
    expect(await new RedisRisk(store).risk()).toEqual({ exposure: {}, pnl: 0, kill_switch: false });
  });

  test("a long journal of 1.0.0 is added up once, and new entries on top", async () => {
    await Promise.all(Array.from({ length: 2500 }, (_, number) => filled(String(number))));
    await worker.xAdd("control", "*", { kill_switch: "1", at: "" });
    const risk = new RedisRisk(store);
    expect(await risk.risk()).toEqual({ exposure: { "BTC-USD": 50_000 }, pnl: -50_000, kill_switch: true });
    await filled("new", { side: "sell" });
    await worker.xAdd("control", "*", { kill_switch: "0", at: "" });
    expect(await risk.risk()).toEqual({ exposure: { "BTC-USD": 49_980 }, pnl: -49_980, kill_switch: false });
  });

  test("the workers' state counts with what is behind their cursors", async () => {
    const first = await filled("1");
    const event = await worker.xAdd("control", "*", { kill_switch: "1", at: "" });
    const risk = new RedisRisk(store);
    expect((await risk.risk()).pnl).toBe(-20);
    await worker.hSet("risk:applied", { 1: "filled", 2: "filled" });
    await worker.hSet("risk:exposure", { "BTC-USD": "40" });
    await worker.hSet("risk:quantity", { "BTC-USD": "4" });
    await worker.hSet("risk:pnl", { realised: "-40", "cash:BTC-USD": "-40" });
    await worker.set("risk:kill_switch", "1");
    await worker.set("risk:cursor:fills", first);
    await worker.set("risk:cursor:control", event);
    await filled("2", { version: "1.1.0" });
    await filled("3");
    expect(await risk.risk()).toEqual({ exposure: { "BTC-USD": 60 }, pnl: -60, kill_switch: true });
    expect((await risk.positions()).positions).toEqual([{ symbol: "BTC-USD", quantity: 6, exposure: 60 }]);
    expect([await store.appliedStatus("1"), await store.appliedStatus("3")]).toEqual(["filled", undefined]);
  });
});
