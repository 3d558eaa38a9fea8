/** Waiting for what is away for a moment: Redis or a worker that is being started again. */

const PATIENCE_MS = 4000;
const PAUSE_MS = 50;

/** There is no connection to another service now, or it broke while the answer was under way. */
export class UnreachableError extends Error {}

/**
 * What `ask` gives, asked again for PATIENCE_MS while the other side cannot be reached. Raises UnreachableError
 * in the end. The other side may have done what it was asked before it failed, so it has to stand being asked twice.
 */
export async function patiently<T>(ask: () => Promise<T>, patienceMs = PATIENCE_MS): Promise<T> {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof UnreachableError) || Date.now() >= deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
