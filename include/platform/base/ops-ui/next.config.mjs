import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const { version } = JSON.parse(readFileSync(new URL("./package.json", import.meta.url), "utf8"));
const here = dirname(fileURLToPath(import.meta.url));

/** @type {import("next").NextConfig} */
export default {
  output: "standalone",
  poweredByHeader: false,
  reactStrictMode: true,
  // `npm run lint` checks the types.
  typescript: { ignoreBuildErrors: true },
  // The same source gives the same build: Next would draw a random id, look for a root above this folder, and
  // note how many processors the machine has.
  generateBuildId: () => `ops-ui-${version}`,
  outputFileTracingRoot: here,
  turbopack: { root: here },
  experimental: { cpus: 1 },
  // No page has pictures to scale, and what scales them is half of the build.
  images: { unoptimized: true },
  outputFileTracingExcludes: { "*": ["node_modules/@img/**", "node_modules/sharp/**"] },
  rewrites: () => Promise.resolve([{ source: "/healthz", destination: "/api/healthz" }]),
  headers: () => Promise.resolve([{ source: "/:path*", headers: [{ key: "X-Version", value: version }] }]),
};
