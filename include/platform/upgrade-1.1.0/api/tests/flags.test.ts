import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { openFlags } from "../src/flags";

const folder = mkdtempSync(join(tmpdir(), "flags-"));
const file = join(folder, "flags.json");
const warnings: string[] = [];

afterAll(() => {
  rmSync(folder, { recursive: true });
});

function put(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

async function isOn(from: string | undefined = file, flag = "backtest-dashboard"): Promise<boolean> {
  const flags = await openFlags(from, (_level, message) => warnings.push(message));
  return flags.getBooleanValue(flag, false);
}

test("without a file every flag is off", async () => {
  expect(await isOn(join(folder, "none.json"))).toBe(false);
  const flags = await openFlags(undefined, () => undefined);
  expect(await flags.getBooleanValue("backtest-dashboard", false)).toBe(false);
});

test("a change of the file is seen by the next question, and a broken or missing file switches off", async () => {
  put('{"flags": {"backtest-dashboard": false}}');
  const flags = await openFlags(file, (_level, message) => warnings.push(message));
  const ask = () => flags.getBooleanValue("backtest-dashboard", false);
  expect(await ask()).toBe(false);
  put('{"flags": {"backtest-dashboard": true}}');
  expect(await ask()).toBe(true);
  warnings.length = 0;
  put('{"flags": ');
  expect([await ask(), await ask()]).toEqual([false, false]);
  expect(warnings).toEqual(["flags cannot be read, so all are off"]);
  put('{"flags": {"backtest-dashboard": true}}');
  expect(await ask()).toBe(true);
  rmSync(file);
  expect(await ask()).toBe(false);
});

test("only true is on, and other kinds of flags are not known", async () => {
  put('{"flags": {"backtest-dashboard": "true", "limit": 3}}');
  expect(await isOn()).toBe(false);
  const flags = await openFlags(file, () => undefined);
  expect(await flags.getNumberValue("limit", 1)).toBe(1);
  expect(await flags.getStringValue("limit", "a")).toBe("a");
  expect(await flags.getObjectValue("limit", { a: 1 })).toEqual({ a: 1 });
});
