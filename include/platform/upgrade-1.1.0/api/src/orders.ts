/**
 * Orders: taken from clients, handed to the workers by a stream, and looked up in their journal.
 *
 * Rules:
 * 1. Nothing is accepted before it is in the stream.
 * 2. When the connection breaks while an order is written, nobody knows whether it is there; so the stream is
 *    looked at before it is written again.
 */

import { patiently } from "./patience";
import { InvalidRequestError, member, objectOf } from "./requests";
import type { Store } from "./store";

export const SYMBOLS = ["BTC-USD", "ETH-USD", "SOL-USD"];
const SIDES = ["buy", "sell"];
const MOST_QUANTITY = 1000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** How far back the end of `orders` is searched for one that may have been written a moment ago. */
const ORDERS_LOOKED_AT = 1000;
/** How far back the journal is searched for an order; of older ones only the status is known. */
const FILLS_LOOKED_AT = 5000;
const FILLS_A_PAGE = 250;

export interface Order {
  order_id: string;
  symbol: string;
  side: string;
  quantity: number;
  price: number;
}

export interface OrderStatus {
  order_id: string;
  status: string;
  /** why it was rejected; null when it was not, or when that is no longer known */
  reason: string | null;
  /** null when it is no longer known */
  price: number | null;
}

/** Raises InvalidRequestError, which names the first field that is wrong. */
export function parseOrder(body: unknown): Order {
  const fields = objectOf(body);
  return {
    order_id: orderId(fields.order_id),
    symbol: member(fields.symbol, SYMBOLS, "symbol"),
    side: member(fields.side, SIDES, "side"),
    quantity: positive(fields.quantity, "quantity", MOST_QUANTITY),
    price: positive(fields.price, "price", Number.MAX_SAFE_INTEGER),
  };
}

function orderId(value: unknown): string {
  const id = typeof value === "string" ? value.toLowerCase() : "";
  if (!UUID.test(id)) throw new InvalidRequestError("order_id has to be a UUID", "order_id");
  return id;
}

function positive(value: unknown, field: string, most: number): number {
  if (typeof value !== "number" || !(value > 0) || value > most) {
    throw new InvalidRequestError(`${field} has to be a number above 0 and at most ${most}`, field);
  }
  return value;
}

/** Hand the order to the workers. */
export async function placeOrder(store: Store, order: Order, at: Date): Promise<void> {
  const message = {
    order_id: order.order_id,
    symbol: order.symbol,
    side: order.side,
    quantity: String(order.quantity),
    price: String(order.price),
    at: at.toISOString(),
  };
  let mayBeThere = false;
  await patiently(async () => {
    if (mayBeThere && (await isInStream(store, order.order_id))) return;
    mayBeThere = true;
    await store.append("orders", message);
  });
}

async function isInStream(store: Store, id: string): Promise<boolean> {
  const entries = await store.newest("orders", ORDERS_LOOKED_AT);
  return entries.some((entry) => entry.message.order_id === id);
}

/** What became of an order; undefined while no worker has handled it. */
export async function orderStatus(store: Store, id: string): Promise<OrderStatus | undefined> {
  const fill = await findFill(store, id);
  if (fill) {
    return { order_id: id, status: fill.status ?? "", reason: fill.reason || null, price: Number(fill.price) };
  }
  const status = await patiently(() => store.appliedStatus(id));
  return status === undefined ? undefined : { order_id: id, status, reason: null, price: null };
}

async function findFill(store: Store, id: string): Promise<Record<string, string> | undefined> {
  let before: string | undefined;
  for (let seen = 0; seen < FILLS_LOOKED_AT; seen += FILLS_A_PAGE) {
    const page = await patiently(() => store.newest("fills", FILLS_A_PAGE, before));
    const found = page.find((entry) => entry.message.order_id === id);
    if (found) return found.message;
    before = page.at(-1)?.id;
    if (page.length < FILLS_A_PAGE) return undefined;
  }
  return undefined;
}
