import { readConfiguration } from "../src/configuration";

const GOOD = {
  PORT: "8001",
  DEPLOY_ENV: "staging",
  REDIS_URL: "redis://:hunter2@127.0.0.1:6379/0",
  BACKTESTER_URL: "http://127.0.0.1:8002/",
};

test("defaults are loopback with no flags and no error tracker, and a base address has no slash at its end", () => {
  expect(readConfiguration(GOOD)).toEqual({
    host: "127.0.0.1",
    port: 8001,
    deployEnv: "staging",
    redisUrl: GOOD.REDIS_URL,
    backtesterUrl: "http://127.0.0.1:8002",
    flagsFile: undefined,
    sentryDsn: undefined,
  });
});

test.each(Object.keys(GOOD))("%s has to be set", (name) => {
  expect(() => readConfiguration({ ...GOOD, [name]: "" })).toThrow(`${name} is not set`);
});

test.each([
  ["PORT", "http"],
  ["PORT", "70000"],
  ["DEPLOY_ENV", "live"],
  ["REDIS_URL", "hunter2@here"],
  ["BACKTESTER_URL", "ftp://127.0.0.1"],
  ["SENTRY_DSN", "key"],
])("a malformed %s is named and not shown", (name, value) => {
  const read = () => readConfiguration({ ...GOOD, [name]: value });
  expect(read).toThrow(name);
  expect(read).not.toThrow(value);
});
