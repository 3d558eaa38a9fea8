/**
 * Streams in Redis.
 *
 * Rules:
 * 1. A command is never queued for a connection that is not there: it fails at once with UnreachableError.
 * 2. A command that failed so may have been carried out before the connection broke.
 */

import { createClient, ErrorReply } from "@redis/client";

import { described, type Log } from "./log";
import { UnreachableError } from "./patience";

const CONNECT_LIMIT_MS = 2000;
const SILENCE_LIMIT_MS = 5000;
const PING_MS = 2000;
const MOST_RECONNECT_PAUSE_MS = 250;

export interface Entry {
  id: string;
  message: Record<string, string>;
}

export interface Store {
  ping(): Promise<void>;
  /** Add an entry to the end of a stream. */
  append(stream: string, message: Record<string, string>): Promise<void>;
  /** Up to `count` entries of a stream, newest first, all older than `before`. */
  newest(stream: string, count: number, before?: string): Promise<Entry[]>;
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
