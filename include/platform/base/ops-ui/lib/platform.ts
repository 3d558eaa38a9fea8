/**
 * The api's view of the platform, fetched on the server side. Every answer's shape is checked. An api that is away for
 * a moment, or not ready, is asked again for PATIENCE_MS; one that is busy has LIMIT_MS in all, less than clients wait.
 */

export interface Position {
  symbol: string;
  quantity: number;
  exposure: number;
}

export interface Risk {
  exposure: Record<string, number>;
  pnl: number;
  kill_switch: boolean;
}

export interface Overview {
  positions: Position[];
  risk: Risk;
}

const LIMIT_MS = 8000;
const PATIENCE_MS = 3000;
const PAUSE_MS = 100;

/** Raises when the api does not answer in time, or answers something else than its contract says. */
export async function readOverview(apiUrl: string): Promise<Overview> {
  const [positions, risk] = await Promise.all([get(`${apiUrl}/api/positions`), get(`${apiUrl}/api/risk`)]);
  if (!isPositions(positions) || !isRisk(risk)) throw new Error("the api answered something else than its contract says");
  return { positions: positions.positions, risk };
}

async function get(url: string): Promise<unknown> {
  const signal = AbortSignal.timeout(LIMIT_MS);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      const response = await fetch(url, { signal });
      if (!response.ok) throw new Error(`the api answered ${String(response.status)}`);
      return await response.json();
    } catch (error) {
      if (Date.now() >= deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}

function isPositions(value: unknown): value is { positions: Position[] } {
  return (
    isRecord(value) &&
    Array.isArray(value.positions) &&
    value.positions.every((p: unknown) => isRecord(p) && typeof p.symbol === "string" && typeof p.quantity === "number")
  );
}

function isRisk(value: unknown): value is Risk {
  return isRecord(value) && isRecord(value.exposure) && typeof value.pnl === "number" && typeof value.kill_switch === "boolean";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
