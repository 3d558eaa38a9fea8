/** @jest-environment node */
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { isOn } from "../lib/flags";

const folder = mkdtempSync(join(tmpdir(), "flags-"));
const file = join(folder, "flags.json");
let time = 1_700_000_000;

function write(text: string) {
  writeFileSync(file, text);
  time += 1;
  utimesSync(file, time, time);
}

beforeAll(() => {
  process.env.FLAGS_FILE = file;
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

test("a flag is what the file says, and again when it changes", async () => {
  write('{"flags": {"github-login": true}}');
  expect(await isOn("github-login")).toBe(true);
  expect(await isOn("backtest-dashboard")).toBe(false);
  write('{"flags": {"github-login": false, "backtest-dashboard": true}}');
  expect(await isOn("github-login")).toBe(false);
  expect(await isOn("backtest-dashboard")).toBe(true);
});

test.each(["not JSON", "{}", '{"flags": null}', '{"flags": {"github-login": "yes"}}'])("%s means off", async (text) => {
  write('{"flags": {"github-login": true}}');
  expect(await isOn("github-login")).toBe(true);
  write(text);
  expect(await isOn("github-login")).toBe(false);
});

test("every copy of the module sees a change, whichever was asked last", async () => {
  write('{"flags": {"github-login": true}}');
  const copies = [await copy(), await copy()];
  for (const isOnThere of copies) expect(await isOnThere("github-login")).toBe(true);
  write('{"flags": {"github-login": false}}');
  for (const isOnThere of copies) expect(await isOnThere("github-login")).toBe(false);
});

/** The module as another of Next's bundles has it. */
async function copy(): Promise<typeof isOn> {
  jest.resetModules();
  return (await import("../lib/flags")).isOn;
}

test("no file means off", async () => {
  delete process.env.FLAGS_FILE;
  expect(await isOn("github-login")).toBe(false);
});
