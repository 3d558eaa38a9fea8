/** Backtests: checked here, run by the backtester. */

import { SYMBOLS } from "./orders";
import { patiently, UnreachableError } from "./patience";
import { InvalidRequestError, member, objectOf } from "./requests";

const MOST_PERIODS = 500;
const ANSWER_LIMIT_MS = 10_000;

export interface Backtest {
  symbol: string;
  /** periods of the quick moving average */
  fast: number;
  /** periods of the slow one */
  slow: number;
}

/** The backtester failed, or cannot be reached. */
export class BacktesterError extends Error {}

/** Raises InvalidRequestError, which names the first field that is wrong. */
export function parseBacktest(body: unknown): Backtest {
  const fields = objectOf(body);
  const symbol = member(fields.symbol, SYMBOLS, "symbol");
  const fast = periods(fields.fast, "fast");
  const slow = periods(fields.slow, "slow");
  if (fast >= slow) throw new InvalidRequestError("slow has to be more than fast", "slow");
  return { symbol, fast, slow };
}

function periods(value: unknown, field: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > MOST_PERIODS) {
    throw new InvalidRequestError(`${field} has to be a whole number from 1 to ${MOST_PERIODS}`, field);
  }
  return value;
}

/** The backtester's result. Raises InvalidRequestError when it refuses, BacktesterError when it fails. */
export async function runBacktest(backtesterUrl: string, backtest: Backtest): Promise<unknown> {
  const response = await patiently(() => ask(`${backtesterUrl}/backtest`, backtest)).catch((error: unknown) => {
    throw new BacktesterError("the backtester does not answer", { cause: error });
  });
  const body = (await response.json().catch(() => undefined)) as unknown;
  if (response.status === 400) {
    const { error, field } = objectOf(body);
    throw new InvalidRequestError(String(error), typeof field === "string" ? field : null);
  }
  if (!response.ok || body === undefined) throw new BacktesterError(`the backtester failed: status ${response.status}`);
  return body;
}

/** A backtest changes nothing, so it may be asked for again. */
async function ask(address: string, backtest: Backtest): Promise<Response> {
  const headers = { "content-type": "application/json" };
  const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
  try {
    return await fetch(address, { method: "POST", headers, body: JSON.stringify(backtest), signal });
  } catch (error) {
    throw new UnreachableError("no answer", { cause: error });
  }
}
