/** Name and version of this service, as its own package.json has them. */

const manifest = require("../package.json") as { name: string; version: string };

export const SERVICE = manifest.name;
export const VERSION = manifest.version;
