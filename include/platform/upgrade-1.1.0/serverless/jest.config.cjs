/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "node",
  // Its traps on globals recurse without end in fetch.
  testEnvironmentOptions: { globalsCleanup: "off" },
  roots: ["<rootDir>/tests"],
  transform: { "^.+\\.ts$": ["@swc/jest", { jsc: { parser: { syntax: "typescript" }, target: "es2022" } }] },
  collectCoverageFrom: ["handler.ts"],
  // A test that is held up by a busy machine is no finding; one that hangs still ends.
  testTimeout: 60_000,
  coverageProvider: "v8",
  coverageReporters: ["text-summary", "json-summary"],
  coverageThreshold: { global: { lines: 80, statements: 80, functions: 80, branches: 80 } },
};
