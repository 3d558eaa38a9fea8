/** Streams in memory, which a test bends: `failures` makes the next commands fail before or after they are done. */

import { UnreachableError } from "../src/patience";
import type { Entry, Store } from "../src/store";

export type Failure = "before" | "after";

export class MemoryStore implements Store {
  readonly streams = new Map<string, Entry[]>();
  /** What happens to the next commands, one each. */
  failures: Failure[] = [];
  isClosed = false;
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
