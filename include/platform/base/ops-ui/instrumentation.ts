/** Exceptions to an error tracker, when there is one. The SDK is loaded only then, so that starting stays quick. */

import { SERVICE, VERSION } from "./lib/identity";

export async function onRequestError(error: unknown): Promise<void> {
  const dsn = process.env.SENTRY_DSN;
  if (!dsn || process.env.NEXT_RUNTIME !== "nodejs") return;
  const sentry = await import("@sentry/node-core/light");
  if (!sentry.isInitialized()) {
    sentry.init({ dsn, environment: process.env.DEPLOY_ENV ?? "test", release: `${SERVICE}@${VERSION}`, sendDefaultPii: false });
  }
  sentry.captureException(error);
}
