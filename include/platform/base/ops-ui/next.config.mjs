import { readFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync(new URL("./package.json", import.meta.url), "utf8"));

/** @type {import("next").NextConfig} */
export default {
  output: "standalone",
  poweredByHeader: false,
  reactStrictMode: true,
  // The same source gives the same build: Next would draw a random id.
  generateBuildId: () => `ops-ui-${version}`,
  rewrites: () => Promise.resolve([{ source: "/healthz", destination: "/api/healthz" }]),
};
