import { MemoryStore } from "./memory-store";
import { get, Running } from "./running";

const running = new Running();
afterEach(() => running.stop());

test("positions and risk are what the workers say, also when one is away for a moment", async () => {
  const body = { exposure: { "BTC-USD": 50.125 }, pnl: -50.125, kill_switch: false };
  const workers = await running.server({ status: 503, body: null }, { status: 200, body });
  const service = await running.service(new MemoryStore(), { workersUrl: workers.address });
  expect(await get(service, "/api/risk")).toMatchObject({ status: 200, body });
  expect((await get(service, "/api/positions")).status).toBe(200);
  expect(workers.asked).toEqual(["GET /risk", "GET /risk", "GET /positions"]);
});

test("workers that stay away are a 503", async () => {
  const service = await running.service(new MemoryStore());
  expect(await get(service, "/api/risk")).toMatchObject({ status: 503, body: { error: "the workers do not answer" } });
}, 15_000);
