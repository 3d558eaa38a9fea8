import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { MemoryStore } from "./memory-store";
import { post, Running } from "./running";

const BACKTEST = { symbol: "BTC-USD", fast: 5, slow: 20 };
const RESULT = { symbol: "BTC-USD", trades: 4, return_percent: 1.5, max_drawdown_percent: 0.5, equity: [100, 101.5] };

const running = new Running();
const folder = mkdtempSync(join(tmpdir(), "flags-"));
const on = join(folder, "on.json");

beforeAll(() => {
  writeFileSync(on, '{"flags": {"backtest-dashboard": true}}');
});
afterEach(() => running.stop());
afterAll(() => {
  rmSync(folder, { recursive: true });
});

async function asked(body: unknown, answer: { status: number; body: unknown }, flagsFile: string | undefined = on) {
  const backtester = await running.server(answer);
  const service = await running.service(new MemoryStore(), { backtesterUrl: backtester.address, flagsFile });
  return { answer: await post(service, "/api/backtest", body), asked: backtester.asked };
}

test("the backtester's result is passed on", async () => {
  const done = await asked(BACKTEST, { status: 200, body: RESULT });
  expect(done.answer).toMatchObject({ status: 200, body: RESULT });
  expect(done.asked).toEqual([`POST /backtest ${JSON.stringify(BACKTEST)}`]);
});

test("with the flag off there is no such address, whatever is sent", async () => {
  const service = await running.service(new MemoryStore());
  expect((await post(service, "/api/backtest", BACKTEST)).status).toBe(404);
  expect((await post(service, "/api/backtest", {})).status).toBe(404);
});

test.each([
  [{ ...BACKTEST, symbol: "NO-SUCH" }, "symbol"],
  [{ ...BACKTEST, fast: 0 }, "fast"],
  [{ ...BACKTEST, slow: 20.5 }, "slow"],
  [{ ...BACKTEST, fast: 20 }, "slow"],
])("what makes no sense is refused here: %p", async (body, field) => {
  const done = await asked(body, { status: 200, body: RESULT });
  expect(done.answer).toMatchObject({ status: 400, body: { field } });
  expect(done.asked).toEqual([]);
});

test("a refusal of the backtester is passed on", async () => {
  const done = await asked(BACKTEST, { status: 400, body: { error: "too few prices", field: "slow" } });
  expect(done.answer).toMatchObject({ status: 400, body: { error: "too few prices", field: "slow" } });
});

test("a backtester that fails, or is away, is a 502", async () => {
  const done = await asked(BACKTEST, { status: 500, body: { error: "division by zero" } });
  expect(done.answer).toMatchObject({ status: 502, body: { error: "the backtester failed: status 500" } });
  const service = await running.service(new MemoryStore(), { flagsFile: on });
  expect(await post(service, "/api/backtest", BACKTEST)).toMatchObject({ status: 502 });
}, 15_000);
