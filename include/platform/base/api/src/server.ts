/** Entry point: `node dist/server.js`. Exit codes: 0 drained, 78 the configuration is wrong, 1 it cannot listen. */

import { ConfigurationError, readConfiguration } from "./configuration";
import { described, log } from "./log";
import { startService } from "./service";

const EX_CONFIG = 78;

async function main(): Promise<void> {
  const service = await startService(readConfiguration(process.env), log);
  const end = () => {
    service.drain().then(
      () => process.exit(0),
      (error: unknown) => {
        fail(error);
      },
    );
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
}

function fail(error: unknown): void {
  const isConfiguration = error instanceof ConfigurationError;
  process.stderr.write(`api: ${isConfiguration ? error.message : described(error)}\n`);
  process.exit(isConfiguration ? EX_CONFIG : 1);
}

main().catch(fail);
