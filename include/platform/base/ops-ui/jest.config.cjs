/** @type {import("jest").Config} */
module.exports = {
  testEnvironment: "jsdom",
  roots: ["<rootDir>/tests"],
  setupFilesAfterEnv: ["<rootDir>/tests/setup.ts"],
  transform: {
    "^.+\\.tsx?$": [
      "@swc/jest",
      { jsc: { parser: { syntax: "typescript", tsx: true }, target: "es2022", transform: { react: { runtime: "automatic" } } } },
    ],
  },
  moduleNameMapper: { "\\.css$": "<rootDir>/tests/style.ts" },
  collectCoverageFrom: ["pages/**/*.{ts,tsx}", "lib/**/*.ts"],
  // A test that is held up by a busy machine is no finding; one that hangs still ends.
  testTimeout: 60_000,
  coverageProvider: "v8",
  coverageReporters: ["text-summary", "json-summary"],
  coverageThreshold: { global: { lines: 80, statements: 80, functions: 80, branches: 80 } },
};
