"use strict";
/**
 * Checks the settings, then becomes Next's own server.
 *
 * Rules:
 * 1. A variable that is missing or malformed ends the process with 78 and is named, never shown.
 * 2. Connections are kept longer than any proxy in front keeps them: the proxy is the one that closes, so no request
 *    meets a connection that is closing.
 * 3. SIGTERM drains: no new connections, what is in hand is answered, what is left after DRAIN_LIMIT_MS is cut off.
 * 4. What Next writes as text is written as one line of JSON.
 */

const { subscribe } = require("node:diagnostics_channel");
const { stripVTControlCharacters } = require("node:util");

const { name, version } = require("./package.json");
const variables = require("./variables");

const EX_CONFIG = 78;
const KEEP_ALIVE_MS = 180_000;
const DRAIN_LIMIT_MS = 5000;

for (const [variable, pattern] of Object.entries(variables)) {
  const value = process.env[variable];
  if (!value || !pattern.test(value)) {
    process.stderr.write(`${name}: ${variable} ${value ? "is malformed" : "is not set"}\n`);
    process.exit(EX_CONFIG);
  }
}

for (const [method, level] of Object.entries({ log: "info", info: "info", warn: "warning", error: "error" })) {
  console[method] = (...parts) => log(level, parts.map(asText).join(" "));
}

/** Next keeps its server to itself, but every request tells which one it came to. */
const servers = new Set();
let isDraining = false;
subscribe("http.server.request.start", ({ server, response }) => {
  servers.add(server);
  if (isDraining) response.setHeader("Connection", "close");
  response.once("close", () => {
    if (isDraining) server.closeIdleConnections();
  });
});

process.once("SIGTERM", drain);
process.once("SIGINT", drain);
process.env.NEXT_MANUAL_SIG_HANDLE = "true";
process.env.HOSTNAME = process.env.HOST || "127.0.0.1";
process.env.KEEP_ALIVE_TIMEOUT = String(KEEP_ALIVE_MS);
require("./server.js");

function drain() {
  isDraining = true;
  const closed = [...servers].map((server) => new Promise((resolve) => server.close(resolve)));
  for (const server of servers) server.closeIdleConnections();
  setTimeout(() => {
    for (const server of servers) server.closeAllConnections();
  }, DRAIN_LIMIT_MS).unref();
  Promise.all(closed).then(() => {
    log("info", "drained");
    process.exit(0);
  });
}

function log(level, text) {
  const message = stripVTControlCharacters(text).trim();
  if (message === "") return;
  process.stdout.write(`${JSON.stringify({ at: new Date().toISOString(), level, service: name, version, message })}\n`);
}

function asText(part) {
  if (part instanceof Error) return part.stack ?? part.message;
  return typeof part === "string" ? part : JSON.stringify(part);
}
