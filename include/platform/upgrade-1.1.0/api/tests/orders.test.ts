import { orderStatus, parseOrder, placeOrder } from "../src/orders";
import { InvalidRequestError } from "../src/requests";
import { fill, MemoryStore, ORDER } from "./memory-store";

const AT = new Date("2026-01-12T09:00:00Z");

test("an order is written with all its fields as text", async () => {
  const store = new MemoryStore();
  await placeOrder(store, parseOrder(ORDER), AT);
  expect(store.messages("orders")).toEqual([
    { ...ORDER, quantity: "0.5", price: "100.25", at: "2026-01-12T09:00:00.000Z" },
  ]);
});

test.each(["before", "after"] as const)("a connection that breaks %s the write leaves the order there once", async (when) => {
  const store = new MemoryStore();
  store.failures = [when, "before"];
  await placeOrder(store, parseOrder(ORDER), AT);
  expect(store.messages("orders")).toHaveLength(1);
});

test.each([
  ["order_id", "12"],
  ["symbol", "DOGE-USD"],
  ["side", "hold"],
  ["quantity", 0],
  ["quantity", 1000.5],
  ["quantity", "1"],
  ["price", -1],
  ["price", null],
])("a wrong %s (%p) is named", (field, value) => {
  const parse = () => parseOrder({ ...ORDER, [field]: value });
  expect(parse).toThrow(InvalidRequestError);
  expect(parse).toThrow(expect.objectContaining({ field }) as Error);
});

test("ids are the same in either case of letters", () => {
  expect(parseOrder({ ...ORDER, order_id: ORDER.order_id.toUpperCase() }).order_id).toBe(ORDER.order_id);
});

test("a status is found behind many later fills, and unknown orders end the search", async () => {
  const store = new MemoryStore();
  store.add("fills", fill({ status: "rejected", reason: "exposure_limit" }));
  for (let other = 0; other < 600; other++) store.add("fills", fill({ order_id: String(other) }));
  expect(await orderStatus(store, ORDER.order_id)).toEqual({
    order_id: ORDER.order_id,
    status: "rejected",
    reason: "exposure_limit",
    price: 100.25,
  });
  expect(await orderStatus(store, "nobody's")).toBeUndefined();
});

test("of an order that left the end of the journal the status is still known", async () => {
  const store = new MemoryStore();
  store.applied.set(ORDER.order_id, "filled");
  expect(await orderStatus(store, ORDER.order_id)).toMatchObject({ status: "filled", reason: null, price: null });
});
