/**
 * Streams and the workers' state in Redis.
 *
 * Rules:
 * 1. A command is never queued for a connection that is not there: it fails at once with UnreachableError.
 * 2. A command that failed so may have been carried out before the connection broke.
 */

import { createClient, ErrorReply } from "@redis/client";

import { described, type Log } from "./log";
import { UnreachableError } from "./patience";
import { READ_RISK, RISK_KEYS, type RiskReply } from "./risk-page";

const CONNECT_LIMIT_MS = 2000;
const SILENCE_LIMIT_MS = 5000;
const PING_MS = 2000;
const MOST_RECONNECT_PAUSE_MS = 250;
const PAGE = 1000;

export interface Entry {
  id: string;
  message: Record<string, string>;
}

/** One entry of the journal. */
export interface Fill {
  id: string;
  orderId: string;
  symbol: string;
  side: string;
  quantity: number;
  price: number;
  status: string;
}

/** How far a caller has added up the journal, and what the workers' side was then. */
export interface Known {
  cursor: string;
  applied: number;
  last: string;
}

/** The workers' state, and a page of the journal behind it, as of one moment. */
export interface RiskPage extends Known {
  /** the page begins behind this entry: behind the caller's last one when nothing changed, else at the cursor */
  from: string;
  hasMore: boolean;
  killSwitch: boolean;
  pnl: number;
  exposure: Record<string, number>;
  quantity: Record<string, number>;
  /** those of the page that the workers' state does not hold yet */
  fills: Fill[];
}

export interface Store {
  ping(): Promise<void>;
  /** Add an entry to the end of a stream. */
  append(stream: string, message: Record<string, string>): Promise<void>;
  /** Up to `count` entries of a stream, newest first, all older than `before`. */
  newest(stream: string, count: number, before?: string): Promise<Entry[]>;
  riskPage(known?: Known): Promise<RiskPage>;
  /** What the workers made of an order; undefined while they have not counted it. */
  appliedStatus(orderId: string): Promise<string | undefined>;
  close(): void;
}

export class RedisStore implements Store {
  private readonly client;

  /** Connects now, and again whenever the connection is lost. */
  constructor(url: string, log: Log) {
    this.client = createClient({
      url,
      disableOfflineQueue: true,
      pingInterval: PING_MS,
      socket: {
        connectTimeout: CONNECT_LIMIT_MS,
        socketTimeout: SILENCE_LIMIT_MS,
        reconnectStrategy: (tries) => Math.min(10 * 2 ** tries, MOST_RECONNECT_PAUSE_MS),
      },
    });
    this.client.on("error", (error: unknown) => {
      log("warning", "redis connection", { error: described(error) });
    });
    // What goes wrong comes as an "error" event, after which it goes on trying.
    this.client.connect().catch(() => undefined);
  }

  async ping(): Promise<void> {
    await reached(this.client.ping());
  }

  async append(stream: string, message: Record<string, string>): Promise<void> {
    await reached(this.client.xAdd(stream, "*", message));
  }

  async newest(stream: string, count: number, before?: string): Promise<Entry[]> {
    const from = before === undefined ? "+" : `(${before}`;
    return reached(this.client.xRevRange(stream, from, "-", { COUNT: count }));
  }

  async riskPage(known?: Known): Promise<RiskPage> {
    const caller = known ? [known.cursor, String(known.applied), known.last] : ["", "", ""];
    const options = { keys: RISK_KEYS, arguments: [...caller, String(PAGE)] };
    return pageOf((await reached(this.client.eval(READ_RISK, options))) as unknown as RiskReply);
  }

  async appliedStatus(orderId: string): Promise<string | undefined> {
    return (await reached(this.client.hGet("risk:applied", orderId))) ?? undefined;
  }

  close(): void {
    this.client.destroy();
  }
}

/** Redis' own refusals stay what they are, but for the one of a server that is still reading its data. */
async function reached<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ErrorReply && !error.message.startsWith("LOADING")) throw error;
    throw new UnreachableError("Redis cannot be reached", { cause: error });
  }
}

function pageOf(reply: RiskReply): RiskPage {
  const [cursor, applied, from, last, hasMore, killSwitch, pnl, exposure, quantity, fills] = reply;
  return {
    cursor,
    applied,
    from,
    last,
    hasMore: hasMore === 1,
    killSwitch: killSwitch === "1",
    pnl: Number(pnl),
    exposure: numbers(exposure),
    quantity: numbers(quantity),
    fills: fills.map(([id, orderId, symbol, side, quantityText, price, status]) => ({
      id,
      orderId,
      symbol,
      side,
      quantity: Number(quantityText),
      price: Number(price),
      status,
    })),
  };
}

/** Redis gives a hash as a list: field, value, field, value. */
function numbers(flat: string[]): Record<string, number> {
  const pairs = flat.flatMap((field, index) => (index % 2 === 0 ? [[field, Number(flat[index + 1])] as const] : []));
  return Object.fromEntries(pairs);
}
