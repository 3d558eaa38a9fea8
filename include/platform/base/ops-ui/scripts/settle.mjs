/**
 * Takes out of a build what Next draws at random or takes from this machine, so that the same source gives the same
 * files: the preview keys (preview mode is not used here), the folder it was built in, and build traces and caches,
 * which serve only the build itself. What Next's standalone output lacks is laid into it, so that it runs as it is.
 */

import { createHash } from "node:crypto";
import { copyFileSync, cpSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.cwd();
const manifest = JSON.parse(readFileSync("package.json", "utf8"));
/** Keys of Next's JSON -> what they are set to. */
const settled = {
  // the repository around this folder
  repoRoot: "/app",
  previewModeId: fixed("id", 32),
  previewModeSigningKey: fixed("signing", 64),
  previewModeEncryptionKey: fixed("encryption", 64),
};

for (const name of ["cache", "trace", "trace-build", "diagnostics"]) rmSync(join(".next", name), { recursive: true, force: true });
for (const root of [join(".next", "standalone"), join(".next", "static")]) {
  for (const file of filesIn(root)) settle(file);
}

for (const name of ["run.js", "variables.js"]) copyFileSync(name, join(".next", "standalone", name));
cpSync(join(".next", "static"), join(".next", "standalone", ".next", "static"), { recursive: true });

function fixed(purpose, length) {
  return createHash("sha256").update(`${manifest.name} ${manifest.version} ${purpose}`).digest("hex").slice(0, length);
}

function settle(file) {
  if (!/\.(json|js|mjs|cjs|html|meta)$/.test(file)) return;
  const before = readFileSync(file, "utf8");
  let text = before.replaceAll(JSON.stringify(folder).slice(1, -1), "/app");
  for (const [key, value] of Object.entries(settled)) {
    text = text.replace(new RegExp(`("${key}"\\s*:\\s*")[^"]*(")`, "g"), `$1${value}$2`);
  }
  if (text !== before) writeFileSync(file, text);
}

function* filesIn(path) {
  for (const entry of readdirSync(path).sort()) {
    const inner = join(path, entry);
    const status = statSync(inner);
    if (status.isDirectory()) {
      if (entry !== "node_modules") yield* filesIn(inner);
    } else yield inner;
  }
}
