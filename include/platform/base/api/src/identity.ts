/** Name and version of this service, as its own package.json has them. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

const manifest = JSON.parse(readFileSync(join(__dirname, "..", "package.json"), "utf8")) as {
  name: string;
  version: string;
};

export const SERVICE = manifest.name;
export const VERSION = manifest.version;
