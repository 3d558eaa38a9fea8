/**
 * The service as a process: it listens, and drains when it is asked to end.
 *
 * Rules:
 * 1. Connections are kept longer than any proxy in front keeps them: the proxy is the one that closes, so no
 *    request meets a connection that is closing.
 * 2. Draining: no new connections, what is in hand is answered, what is left after DRAIN_LIMIT_MS is cut off.
 */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { createApp, type Parts } from "./app";
import type { Configuration } from "./configuration";
import { openErrorTracker } from "./error-tracker";
import { openFlags } from "./flags";
import type { Log } from "./log";
import { RedisRisk } from "./risk";
import { RedisStore, type Store } from "./store";

const KEEP_ALIVE_MS = 180_000;
const DRAIN_LIMIT_MS = 5000;

export interface Service {
  /** where it listens, http://host:port */
  address: string;
  /** Returns once everything is answered and let go. */
  drain(): Promise<void>;
}

/** What the routes work with; `store` is Redis unless another one is given. */
export async function openParts(configuration: Configuration, log: Log, store?: Store): Promise<Omit<Parts, "isDraining">> {
  const streams = store ?? new RedisStore(configuration.redisUrl, log);
  return {
    store: streams,
    risk: new RedisRisk(streams),
    flags: await openFlags(configuration.flagsFile, log),
    backtesterUrl: configuration.backtesterUrl,
    tracker: await openErrorTracker(configuration),
    log,
  };
}

/** Listen. */
export async function startService(configuration: Configuration, log: Log, store?: Store): Promise<Service> {
  const parts = await openParts(configuration, log, store);
  let isDraining = false;
  const app = createApp({ ...parts, isDraining: () => isDraining });
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: KEEP_ALIVE_MS + 1000 }, app);
  // A connection that was busy when draining began is let go as soon as it is not.
  server.on("request", (_request, response) => {
    response.once("close", () => {
      if (isDraining) server.closeIdleConnections();
    });
  });
  await listen(server, configuration);
  const { address, port } = server.address() as AddressInfo;
  log("info", "listening", { host: address, port });
  return {
    address: `http://${configuration.host}:${port}`,
    drain: async () => {
      isDraining = true;
      await closed(server);
      parts.store.close();
      await parts.tracker.flush();
      log("info", "drained");
    },
  };
}

function listen(server: Server, { host, port }: Configuration): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const limit = setTimeout(() => {
      server.closeAllConnections();
    }, DRAIN_LIMIT_MS);
    server.close(() => {
      clearTimeout(limit);
      resolve();
    });
    server.closeIdleConnections();
  });
}
