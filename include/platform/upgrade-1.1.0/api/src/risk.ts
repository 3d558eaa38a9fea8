/**
 * Positions and risk, from what the workers keep in Redis.
 *
 * Rules:
 * 1. What is shown is `risk:*` and, on top, what is in the streams behind the workers' cursors and not yet
 *    counted there. So it is right with workers of either version, of both, and before the first of this version
 *    has run.
 * 2. An order counts once, as the workers will count it.
 * 3. Nothing is written here.
 * 4. Entries that were added up already are not read again as long as the workers' side has not changed.
 */

import { patiently } from "./patience";
import type { Fill, RiskPage, Store } from "./store";

/** Most pages of the journal that one request adds up. */
const MOST_PAGES = 50;
const SHOWN_PLACES = 8;

export interface Positions {
  positions: { symbol: string; quantity: number; exposure: number }[];
}

export interface RiskState {
  exposure: Record<string, number>;
  pnl: number;
  kill_switch: boolean;
}

/** More of the journal was waiting than one request adds up; the next ones go on from there. */
export class FoldPendingError extends Error {}

type Numbers = ReadonlyMap<string, number>;

/** Entries behind the workers' cursor, added up. A new value with each page; only `counted` is shared. */
interface Tail {
  cursor: string;
  applied: number;
  last: string;
  exposure: Numbers;
  quantity: Numbers;
  /** order id -> the entry that counted it */
  counted: Map<string, string>;
}

interface Whole {
  exposure: Map<string, number>;
  quantity: Map<string, number>;
  pnl: number;
  killSwitch: boolean;
}

export class RedisRisk {
  private tail: Tail | undefined;

  constructor(private readonly store: Store) {}

  /** Body of GET /api/risk. Raises FoldPendingError. */
  async risk(): Promise<RiskState> {
    const whole = await this.read();
    const exposure = Object.fromEntries(sorted(whole.exposure).map(([symbol, value]) => [symbol, shown(value)]));
    return { exposure, pnl: shown(whole.pnl), kill_switch: whole.killSwitch };
  }

  /** Body of GET /api/positions. Raises FoldPendingError. */
  async positions(): Promise<Positions> {
    const { exposure, quantity } = await this.read();
    const positions = sorted(exposure).map(([symbol, value]) => ({
      symbol,
      quantity: shown(quantity.get(symbol) ?? 0),
      exposure: shown(value),
    }));
    return { positions };
  }

  private async read(): Promise<Whole> {
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const known = this.tail;
      const page = await patiently(() => this.store.riskPage(known));
      const tail = extended(known, page);
      this.tail = tail;
      if (!page.hasMore) return whole(page, tail);
    }
    throw new FoldPendingError("the journal is still being added up");
  }
}

/** `known` with the page's fills; from nothing when the workers' side has changed since. */
function extended(known: Tail | undefined, page: RiskPage): Tail {
  const isSame = known?.cursor === page.cursor && known.applied === page.applied && known.last === page.from;
  const exposure = new Map(isSame ? known.exposure : []);
  const quantity = new Map(isSame ? known.quantity : []);
  const counted = isSame ? known.counted : new Map<string, string>();
  for (const fill of page.fills) {
    const by = counted.get(fill.orderId) ?? fill.id;
    counted.set(fill.orderId, by);
    if (by !== fill.id || fill.status !== "filled") continue;
    add(quantity, fill.symbol, signedQuantity(fill));
    add(exposure, fill.symbol, signedQuantity(fill) * fill.price);
  }
  const { cursor, applied, last } = page;
  return { cursor, applied, last, exposure, quantity, counted };
}

function whole(page: RiskPage, tail: Tail): Whole {
  const exposure = new Map(Object.entries(page.exposure));
  const quantity = new Map(Object.entries(page.quantity));
  let pnl = page.pnl;
  for (const [symbol, value] of tail.exposure) {
    add(exposure, symbol, value);
    pnl -= value;
  }
  for (const [symbol, value] of tail.quantity) add(quantity, symbol, value);
  return { exposure, quantity, pnl, killSwitch: page.killSwitch };
}

function signedQuantity(fill: Fill): number {
  return fill.side === "buy" ? fill.quantity : -fill.quantity;
}

function add(to: Map<string, number>, symbol: string, value: number): void {
  to.set(symbol, (to.get(symbol) ?? 0) + value);
}

function sorted(numbers: Numbers): [string, number][] {
  return [...numbers].sort(([one], [other]) => (one < other ? -1 : 1));
}

/** Rounded; never the -0 that JSON writes as 0 and a test takes for another number. */
function shown(value: number): number {
  return Number(value.toFixed(SHOWN_PLACES)) + 0;
}
