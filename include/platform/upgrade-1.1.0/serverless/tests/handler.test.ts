/** The handler with events as an API Gateway sends them (HTTP API, payload format 2.0). */

import type { APIGatewayProxyEventV2, Context } from "aws-lambda";

import { patiently } from "../../api/src/patience";
import { RedisStore } from "../../api/src/store";
import { isRedisInstalled, RedisServer } from "../../api/tests/redis-server";
import { close, handler } from "../handler";
import order from "./order-event.json";

const ORDER_ID = "6f1b5c1e-2f52-4f0e-9d0a-0d3c1a2b3c4d";
const VARIABLES = { DEPLOY_ENV: "test", REDIS_URL: "redis://127.0.0.1:1/0", BACKTESTER_URL: "http://127.0.0.1:1" };

beforeEach(() => {
  Object.assign(process.env, VARIABLES);
  jest.spyOn(process.stdout, "write").mockReturnValue(true);
});
afterEach(async () => {
  await close();
  jest.restoreAllMocks();
});

function context(): Context {
  return { functionName: "api", awsRequestId: "8476a536-e9f4-11e8-9739-2dfe598c3fcd", callbackWaitsForEmptyEventLoop: true } as Context;
}

/** The order's event with another method, path or body. */
function event(method: string, path: string, body?: unknown): APIGatewayProxyEventV2 {
  const http = { ...order.requestContext.http, method, path };
  const text = body === undefined ? "" : JSON.stringify(body);
  const headers = { ...order.headers, "content-length": String(Buffer.byteLength(text)) };
  const requestContext = { ...order.requestContext, http };
  return { ...order, rawPath: path, headers, requestContext, body: text, isBase64Encoded: false };
}

test("an order that makes no sense is refused as over HTTP, and the event waits for nothing", async () => {
  const here = context();
  const result = await handler(event("POST", "/api/orders", { order_id: "12" }), here);
  expect(result.statusCode).toBe(400);
  expect(result.headers?.["content-type"]).toMatch(/^application\/json/);
  expect(JSON.parse(result.body ?? "")).toEqual({ error: "order_id has to be a UUID", field: "order_id" });
  expect(here.callbackWaitsForEmptyEventLoop).toBe(false);
});

test("health is 503 without Redis, and the backtest's address is not there while its flag is off", async () => {
  expect((await handler(event("GET", "/healthz"), context())).statusCode).toBe(503);
  expect((await handler(event("POST", "/api/backtest", {}), context())).statusCode).toBe(404);
});

test("a missing variable is named, and the next event tries again", async () => {
  delete process.env.BACKTESTER_URL;
  await expect(handler(event("GET", "/healthz"), context())).rejects.toThrow("BACKTESTER_URL is not set");
  Object.assign(process.env, VARIABLES);
  expect((await handler(event("GET", "/healthz"), context())).statusCode).toBe(503);
});

(isRedisInstalled() ? test : test.skip)("an order in a real event is in the workers' stream", async () => {
  const server = new RedisServer();
  await server.start();
  process.env.REDIS_URL = server.url;
  const store = new RedisStore(server.url, () => undefined);
  try {
    const result = await handler(order, context());
    expect(result.statusCode).toBe(202);
    expect(JSON.parse(result.body ?? "")).toEqual({ order_id: ORDER_ID, status: "accepted" });
    const [entry] = await patiently(() => store.newest("orders", 1));
    expect(entry?.message).toMatchObject({ order_id: ORDER_ID, symbol: "BTC-USD", quantity: "0.5" });
  } finally {
    store.close();
    await server.remove();
  }
});
