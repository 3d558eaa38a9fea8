/** Exceptions to an error tracker. Its SDK is loaded only when there is a DSN, so that starting stays quick. */

import type { Configuration } from "./configuration";
import { SERVICE, VERSION } from "./identity";

const FLUSH_LIMIT_MS = 2000;

export interface ErrorTracker {
  report(error: unknown): void;
  /** Returns once what was reported is sent, or after FLUSH_LIMIT_MS. */
  flush(): Promise<void>;
}

export const NO_TRACKER: ErrorTracker = { report: () => undefined, flush: () => Promise.resolve() };

export async function openErrorTracker(configuration: Pick<Configuration, "sentryDsn" | "deployEnv">): Promise<ErrorTracker> {
  if (!configuration.sentryDsn) return NO_TRACKER;
  const sentry = await import("@sentry/node-core/light");
  sentry.init({
    dsn: configuration.sentryDsn,
    environment: configuration.deployEnv,
    release: `${SERVICE}@${VERSION}`,
    sendDefaultPii: false,
  });
  return {
    report: (error) => {
      sentry.captureException(error);
    },
    flush: async () => {
      await sentry.flush(FLUSH_LIMIT_MS);
    },
  };
}
