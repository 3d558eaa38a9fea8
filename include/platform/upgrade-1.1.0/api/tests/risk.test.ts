import { FoldPendingError, RedisRisk } from "../src/risk";
import { fill, MemoryStore } from "./memory-store";

let store: MemoryStore;
let orders: number;

beforeEach(() => {
  store = new MemoryStore();
  orders = 0;
});

function filled(changes: Record<string, string> = {}): Record<string, string> {
  orders += 1;
  return fill({ order_id: String(orders), quantity: "2", price: "10", ...changes });
}

test("before a worker of this version has run, risk is the sum of the whole journal, page by page", async () => {
  for (let number = 0; number < 7; number++) store.add("fills", filled());
  store.add("fills", filled({ side: "sell", symbol: "ETH-USD", price: "0.1" }));
  store.add("fills", filled({ status: "rejected", reason: "exposure_limit" }));
  const risk = new RedisRisk(store);
  expect(await risk.risk()).toEqual({ exposure: { "BTC-USD": 140, "ETH-USD": -0.2 }, pnl: -139.8, kill_switch: false });
  expect(await risk.positions()).toEqual({
    positions: [
      { symbol: "BTC-USD", quantity: 14, exposure: 140 },
      { symbol: "ETH-USD", quantity: -2, exposure: -0.2 },
    ],
  });
});

test("what the workers have counted is not counted again, what they have not yet is added", async () => {
  store.add("fills", filled());
  store.add("fills", filled({ version: "1.1.0" }));
  store.add("fills", filled());
  store.applied = new Map([
    ["1", "filled"],
    ["2", "filled"],
  ]);
  store.cursor = "1-1";
  Object.assign(store, { exposure: { "BTC-USD": 40 }, quantity: { "BTC-USD": 4 }, pnl: -40, killSwitch: true });
  expect(await new RedisRisk(store).risk()).toEqual({ exposure: { "BTC-USD": 60 }, pnl: -60, kill_switch: true });
});

test("an order that the journal has twice counts once, also over pages and requests", async () => {
  const twice = filled();
  for (const message of [twice, filled(), filled(), twice]) store.add("fills", message);
  const risk = new RedisRisk(store);
  expect((await risk.risk()).exposure).toEqual({ "BTC-USD": 60 });
  store.add("fills", twice);
  expect(await Promise.all([risk.risk(), risk.risk()])).toMatchObject([{ pnl: -60 }, { pnl: -60 }]);
});

test("when the workers go on, what was added up here is forgotten", async () => {
  store.add("fills", filled());
  store.add("fills", filled());
  const risk = new RedisRisk(store);
  expect((await risk.risk()).pnl).toBe(-40);
  store.applied.set("1", "filled");
  Object.assign(store, { cursor: "1-1", exposure: { "BTC-USD": 20 }, quantity: { "BTC-USD": 2 }, pnl: -20 });
  expect(await risk.risk()).toMatchObject({ exposure: { "BTC-USD": 40 }, pnl: -40 });
});

test("a journal too long for one request is added up by the next ones", async () => {
  store.pageSize = 1;
  for (let number = 0; number < 60; number++) store.add("fills", filled());
  const risk = new RedisRisk(store);
  await expect(risk.risk()).rejects.toBeInstanceOf(FoldPendingError);
  expect((await risk.risk()).exposure).toEqual({ "BTC-USD": 1200 });
});

test("a sum of nothing is 0 and not -0", async () => {
  store.add("fills", filled());
  store.add("fills", filled({ side: "sell" }));
  expect(JSON.stringify(await new RedisRisk(store).risk())).toBe('{"exposure":{"BTC-USD":0},"pnl":0,"kill_switch":false}');
  expect((await new RedisRisk(store).risk()).pnl).toBe(0);
});
