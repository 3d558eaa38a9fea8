import { fill, MemoryStore, ORDER } from "./memory-store";
import { get, post, Running } from "./running";
import { SERVICE, VERSION } from "../src/identity";

const running = new Running();
let store: MemoryStore;

beforeEach(() => {
  store = new MemoryStore();
  running.lines.length = 0;
});
afterEach(() => running.stop());

test("health names service and version, and is 503 while Redis is away", async () => {
  const service = await running.service(store);
  expect(await get(service, "/healthz")).toMatchObject({
    status: 200,
    body: { status: "ok", service: SERVICE, version: VERSION },
  });
  store.failures = ["before"];
  expect(await get(service, "/healthz")).toMatchObject({ status: 503, body: { status: "unavailable" } });
});

test("an order is accepted, and its status is that of the journal", async () => {
  const service = await running.service(store);
  const accepted = await post(service, "/api/orders", ORDER);
  expect(accepted).toMatchObject({ status: 202, body: { order_id: ORDER.order_id, status: "accepted" } });
  expect(accepted.headers.get("x-version")).toBe(VERSION);
  expect((await get(service, `/api/orders/${ORDER.order_id}`)).status).toBe(404);
  store.add("fills", fill());
  expect((await get(service, `/api/orders/${ORDER.order_id}`)).body).toEqual({
    order_id: ORDER.order_id,
    status: "filled",
    reason: null,
    price: 100.25,
  });
});

test.each([
  ["{", null],
  ["[]", null],
  [JSON.stringify({ ...ORDER, quantity: -1 }), "quantity"],
])("what is no order is refused and not written: %s", async (body, field) => {
  const service = await running.service(store);
  const answer = await post(service, "/api/orders", body);
  expect(answer).toMatchObject({ status: 400, body: { field } });
  expect(store.messages("orders")).toEqual([]);
});

test("the kill switch is an event for the workers", async () => {
  const service = await running.service(store);
  expect((await post(service, "/api/kill-switch", { on: true })).status).toBe(202);
  expect((await post(service, "/api/kill-switch", { on: false })).status).toBe(202);
  expect((await post(service, "/api/kill-switch", { on: "yes" })).status).toBe(400);
  expect(store.messages("control").map((event) => event.kill_switch)).toEqual(["1", "0"]);
});

test("requests are counted by route and code, probes are not", async () => {
  const service = await running.service(store);
  await get(service, "/healthz");
  await post(service, "/api/orders", ORDER);
  await post(service, "/api/orders", {});
  await get(service, `/api/orders/${ORDER.order_id}`);
  await get(service, "/api/nothing");
  const text = (await get(service, "/metrics")).body as string;
  const labels = `service="${SERVICE}",version="${VERSION}"`;
  expect(text).toContain(`build_info{${labels}} 1`);
  expect(text).toContain(`http_requests_total{method="POST",route="/api/orders",code="202",${labels}} 1`);
  expect(text).toContain(`http_requests_total{method="POST",route="/api/orders",code="400",${labels}} 1`);
  expect(text).toContain(`http_requests_total{method="GET",route="/api/orders/:order_id",code="404",${labels}} 1`);
  expect(text).toContain(`http_requests_total{method="GET",route="none",code="404",${labels}} 1`);
  expect(text).toMatch(/http_request_duration_seconds_bucket\{le="0.25",[^}]*method="POST",route="\/api\/orders"\} 2/);
  expect(text).not.toContain("healthz");
});

test("an unexpected error is a 500 that tells nothing, a log line, and no end of the service", async () => {
  const service = await running.service(store);
  store.append = () => Promise.reject(new Error("redis://:hunter2@10.0.0.1 said no"));
  expect(await post(service, "/api/orders", ORDER)).toMatchObject({ status: 500, body: { error: "internal error" } });
  const line = running.lines.find((each) => each.level === "error");
  expect(line).toMatchObject({ method: "POST", path: "/api/orders" });
  expect(JSON.stringify(running.lines)).not.toContain("hunter2");
  expect((await get(service, "/healthz")).status).toBe(200);
});

test("draining answers what is in hand, takes nothing new, and lets go of Redis", async () => {
  const service = await running.service(store);
  let written: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => {
    store.append = () => {
      resolve();
      return new Promise((done) => (written = done));
    };
  });
  const inHand = post(service, "/api/orders", ORDER);
  await arrived;
  const drained = service.drain();
  await expect(get(service, "/healthz")).rejects.toThrow();
  expect(store.isClosed).toBe(false);
  written();
  expect((await inHand).status).toBe(202);
  await drained;
  expect(store.isClosed).toBe(true);
});
