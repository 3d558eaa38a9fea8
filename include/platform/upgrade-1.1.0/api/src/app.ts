/** The routes of the api, and how errors become answers. */

import type { Client as Flags } from "@openfeature/server-sdk";
import express, { type Express, type NextFunction, type Request, type Response } from "express";

import { BacktesterError, parseBacktest, runBacktest } from "./backtest";
import type { ErrorTracker } from "./error-tracker";
import { BACKTEST_DASHBOARD } from "./flags";
import { SERVICE, VERSION } from "./identity";
import { parseKillSwitch, setKillSwitch } from "./kill-switch";
import { described, type Log } from "./log";
import { Metrics } from "./metrics";
import { orderStatus, parseOrder, placeOrder } from "./orders";
import { UnreachableError } from "./patience";
import { InvalidRequestError } from "./requests";
import { FoldPendingError, type RedisRisk } from "./risk";
import type { Store } from "./store";

const MOST_BODY = "16kb";

export interface Parts {
  store: Store;
  risk: RedisRisk;
  flags: Flags;
  backtesterUrl: string;
  tracker: ErrorTracker;
  log: Log;
  /** True from the moment on when the process was asked to end. */
  isDraining: () => boolean;
}

export function createApp(parts: Parts): Express {
  const { store, risk } = parts;
  const metrics = new Metrics();
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.use(metrics.count);
  app.use((_request, response, next) => {
    response.set("X-Version", VERSION);
    if (parts.isDraining()) response.set("Connection", "close");
    next();
  });
  app.use(express.json({ limit: MOST_BODY }));

  app.get("/healthz", async (_request, response) => {
    const isReady = !parts.isDraining() && (await answers(store));
    const status = isReady ? "ok" : "unavailable";
    response.status(isReady ? 200 : 503).json({ status, service: SERVICE, version: VERSION });
  });
  app.get("/metrics", async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });
  app.post("/api/orders", async (request, response) => {
    const order = parseOrder(request.body);
    await placeOrder(store, order, new Date());
    response.status(202).json({ order_id: order.order_id, status: "accepted" });
  });
  app.get("/api/orders/:order_id", async (request, response) => {
    const status = await orderStatus(store, request.params.order_id.toLowerCase());
    if (status) response.json(status);
    else response.status(404).json({ error: "no worker has seen this order yet" });
  });
  app.get("/api/positions", async (_request, response) => {
    response.json(await risk.positions());
  });
  app.get("/api/risk", async (_request, response) => {
    response.json(await risk.risk());
  });
  app.post("/api/kill-switch", async (request, response) => {
    const isOn = parseKillSwitch(request.body);
    await setKillSwitch(store, isOn, new Date());
    response.status(202).json({ on: isOn, status: "accepted" });
  });
  app.post("/api/backtest", async (request, response, next) => {
    if (await parts.flags.getBooleanValue(BACKTEST_DASHBOARD, false)) {
      response.json(await runBacktest(parts.backtesterUrl, parseBacktest(request.body)));
    } else {
      next();
    }
  });

  app.use((_request, response) => {
    response.status(404).json({ error: "there is nothing at this address" });
  });
  app.use((error: unknown, request: Request, response: Response, next: NextFunction) => {
    if (response.headersSent) {
      next(error);
      return;
    }
    answerError(parts, error, request, response);
  });
  return app;
}

async function answers(store: Store): Promise<boolean> {
  try {
    await store.ping();
    return true;
  } catch {
    return false;
  }
}

function answerError(parts: Parts, error: unknown, request: Request, response: Response): void {
  if (error instanceof InvalidRequestError) {
    response.status(400).json({ error: error.message, field: error.field });
    return;
  }
  const status = statusOfBodyError(error);
  if (status !== undefined) {
    response.status(status).json({ error: "the body cannot be read as JSON", field: null });
    return;
  }
  const cause = error instanceof Error && error.cause !== undefined ? described(error.cause) : undefined;
  parts.log("error", "request failed", { method: request.method, path: request.path, error: described(error), cause });
  parts.tracker.report(error);
  const known = statusOf(error);
  response.status(known ?? 500).json({ error: known && error instanceof Error ? error.message : "internal error" });
}

/** The status of an error whose message is for clients; undefined for any other. */
function statusOf(error: unknown): number | undefined {
  if (error instanceof UnreachableError || error instanceof FoldPendingError) return 503;
  return error instanceof BacktesterError ? 502 : undefined;
}

/** The status that Express' body parser gives to a body that it refuses; undefined for any other error. */
function statusOfBodyError(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("type" in error) || !("status" in error)) return undefined;
  const { type, status } = error;
  const isOfBody = typeof type === "string" && /^(entity|encoding|charset|request)\./.test(type);
  return isOfBody && typeof status === "number" && status < 500 ? status : undefined;
}
