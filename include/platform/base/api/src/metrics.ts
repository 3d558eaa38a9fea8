/** What this process counts, as Prometheus text. Probes of health and metrics are not counted as requests. */

import type { NextFunction, Request, Response } from "express";
import { Counter, Gauge, Histogram, Registry } from "prom-client";

import { SERVICE, VERSION } from "./identity";

const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
const PROBES = new Set(["/healthz", "/metrics"]);
/** Label of requests that no route took: their paths are anybody's, and would be a series each. */
const NO_ROUTE = "none";

export class Metrics {
  readonly registry = new Registry();
  private readonly requests = new Counter({
    name: "http_requests_total",
    help: "Requests answered",
    labelNames: ["method", "route", "code"],
    registers: [this.registry],
  });
  private readonly durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Time from a request's arrival to its answer",
    labelNames: ["method", "route"],
    buckets: BUCKETS_SECONDS,
    registers: [this.registry],
  });

  constructor() {
    this.registry.setDefaultLabels({ service: SERVICE, version: VERSION });
    new Gauge({ name: "build_info", help: "What runs here", registers: [this.registry] }).set(1);
  }

  /** Middleware that counts every request when its answer is out, also when the client went away. */
  readonly count = (request: Request, response: Response, next: NextFunction): void => {
    if (PROBES.has(request.path)) {
      next();
      return;
    }
    const began = process.hrtime.bigint();
    response.once("close", () => {
      const labels = { method: request.method, route: routeOf(request) };
      this.requests.inc({ ...labels, code: String(response.statusCode) });
      this.durations.observe(labels, Number(process.hrtime.bigint() - began) / 1e9);
    });
    next();
  };
}

function routeOf(request: Request): string {
  const route = request.route as { path?: unknown } | undefined;
  return typeof route?.path === "string" ? route.path : NO_ROUTE;
}
