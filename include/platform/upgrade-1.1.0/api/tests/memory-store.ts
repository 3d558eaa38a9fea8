/** Redis in memory, which a test bends: `failures` makes the next commands fail before or after they are done. */

import { UnreachableError } from "../src/patience";
import type { Entry, Known, RiskPage, Store } from "../src/store";

export type Failure = "before" | "after";

export class MemoryStore implements Store {
  readonly streams = new Map<string, Entry[]>();
  /** What happens to the next commands, one each. */
  failures: Failure[] = [];
  isClosed = false;
  /** The workers' side: what a fold of theirs has written. */
  applied = new Map<string, string>();
  cursor = "0-0";
  killSwitch = false;
  pnl = 0;
  exposure: Record<string, number> = {};
  quantity: Record<string, number> = {};
  pageSize = 3;
  private count = 0;

  ping(): Promise<void> {
    return this.carriedOut(() => undefined);
  }

  append(stream: string, message: Record<string, string>): Promise<void> {
    return this.carriedOut(() => {
      this.add(stream, message);
    });
  }

  newest(stream: string, count: number, before?: string): Promise<Entry[]> {
    return this.carriedOut(() => {
      const entries = this.streams.get(stream) ?? [];
      const end = before === undefined ? entries.length : entries.findIndex((entry) => entry.id === before);
      return entries.slice(0, end).reverse().slice(0, count);
    });
  }

  riskPage(known?: Known): Promise<RiskPage> {
    return this.carriedOut(() => {
      const { cursor, killSwitch, pnl, exposure, quantity } = this;
      const isSame = known?.cursor === cursor && known.applied === this.applied.size;
      const from = isSame ? known.last : cursor;
      const entries = this.streams.get("fills") ?? [];
      const page = entries.slice(entries.findIndex((entry) => entry.id === from) + 1).slice(0, this.pageSize);
      const fills = page
        .filter(({ message }) => !this.applied.has(message.order_id ?? ""))
        .map(({ id, message }) => ({
          id,
          orderId: message.order_id ?? "",
          symbol: message.symbol ?? "",
          side: message.side ?? "",
          quantity: Number(message.quantity),
          price: Number(message.price),
          status: message.status ?? "",
        }));
      const last = page.at(-1)?.id ?? from;
      const state = { cursor, applied: this.applied.size, killSwitch, pnl, exposure, quantity };
      return { ...state, from, last, hasMore: page.length === this.pageSize, fills };
    });
  }

  appliedStatus(orderId: string): Promise<string | undefined> {
    return this.carriedOut(() => this.applied.get(orderId));
  }

  close(): void {
    this.isClosed = true;
  }

  add(stream: string, message: Record<string, string>): void {
    this.count += 1;
    this.streams.set(stream, [...(this.streams.get(stream) ?? []), { id: `1-${this.count}`, message }]);
  }

  messages(stream: string): Record<string, string>[] {
    return (this.streams.get(stream) ?? []).map((entry) => entry.message);
  }

  protected carriedOut<T>(command: () => T): Promise<T> {
    const failure = this.failures.shift();
    if (failure === "before") return Promise.reject(new UnreachableError("no connection"));
    const result = command();
    return failure === "after" ? Promise.reject(new UnreachableError("it broke")) : Promise.resolve(result);
  }
}

export const ORDER = {
  order_id: "6f1b5c1e-2f52-4f0e-9d0a-0d3c1a2b3c4d",
  symbol: "BTC-USD",
  side: "buy",
  quantity: 0.5,
  price: 100.25,
};

export function fill(changes: Record<string, string> = {}): Record<string, string> {
  const order = { order_id: ORDER.order_id, symbol: "BTC-USD", side: "buy", quantity: "0.5", price: "100.25" };
  return { ...order, status: "filled", reason: "", version: "1.0.0", at: "2026-01-12T09:00:00.000Z", ...changes };
}
