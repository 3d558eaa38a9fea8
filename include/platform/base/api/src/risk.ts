/** Positions and risk. The workers keep them in their memory, so they are asked. */

import { patiently, UnreachableError } from "./patience";

const ANSWER_LIMIT_MS = 2000;

export interface Risk {
  /** Body of GET /api/risk. */
  risk(): Promise<unknown>;
  /** Body of GET /api/positions. */
  positions(): Promise<unknown>;
}

export class WorkersRisk implements Risk {
  constructor(private readonly workersUrl: string) {}

  risk(): Promise<unknown> {
    return this.ask("/risk");
  }

  positions(): Promise<unknown> {
    return this.ask("/positions");
  }

  /** A worker that is being replaced is away for a moment, and reading may be repeated. */
  private ask(path: string): Promise<unknown> {
    return patiently(async () => {
      const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
      try {
        const response = await fetch(this.workersUrl + path, { signal });
        if (!response.ok) throw new Error(`status ${response.status}`);
        return (await response.json()) as unknown;
      } catch (error) {
        throw new UnreachableError("the workers do not answer", { cause: error });
      }
    });
  }
}
