"use strict";
/** Checks the settings, then becomes Next's own server. Exit codes: 78 a variable is missing or malformed. */

const EX_CONFIG = 78;
const REQUIRED = {
  DEPLOY_ENV: /^(staging|production|test)$/,
  PORT: /^\d{1,5}$/,
  API_URL: /^https?:\/\/\S+$/,
  NEXTAUTH_URL: /^https?:\/\/\S+$/,
  NEXTAUTH_SECRET: /^\S{32,}$/,
  GITHUB_ID: /^\S+$/,
  GITHUB_SECRET: /^\S+$/,
};

for (const [name, pattern] of Object.entries(REQUIRED)) {
  const value = process.env[name];
  if (!value || !pattern.test(value)) {
    process.stderr.write(`ops-ui: ${name} ${value ? "is malformed" : "is not set"}\n`);
    process.exit(EX_CONFIG);
  }
}

process.env.HOSTNAME = process.env.HOST || "127.0.0.1";
require("./server.js");
