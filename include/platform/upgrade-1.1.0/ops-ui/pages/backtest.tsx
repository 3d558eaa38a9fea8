import type { GetServerSideProps } from "next";
import Link from "next/link";
import { type SyntheticEvent, useState } from "react";

import { isOn } from "../lib/flags";

const SYMBOLS = ["BTC-USD", "ETH-USD", "SOL-USD"];

interface Result {
  symbol: string;
  trades: number;
  return_percent: number;
  max_drawdown_percent: number;
  equity: number[];
}

type Progress = { kind: "idle" } | { kind: "running" } | { kind: "failed"; why: string } | { kind: "done"; result: Result };

export const getServerSideProps: GetServerSideProps = async () =>
  (await isOn("backtest-dashboard")) ? { props: {} } : { notFound: true };

export default function Backtest() {
  const [progress, setProgress] = useState<Progress>({ kind: "idle" });

  async function run(event: SyntheticEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setProgress({ kind: "running" });
    setProgress(await ask({ symbol: form.get("symbol"), fast: Number(form.get("fast")), slow: Number(form.get("slow")) }));
  }

  return (
    <main>
      <header>
        <h1>Backtest</h1>
        <nav>
          <Link href="/">Positions</Link>
        </nav>
      </header>
      <p>Moving-average crossover on recorded prices.</p>
      <form onSubmit={(event) => void run(event)}>
        <label>
          Symbol
          <select name="symbol">
            {SYMBOLS.map((symbol) => (
              <option key={symbol}>{symbol}</option>
            ))}
          </select>
        </label>
        <label>
          Fast average
          <input name="fast" type="number" min={1} max={200} defaultValue={5} required />
        </label>
        <label>
          Slow average
          <input name="slow" type="number" min={2} max={400} defaultValue={20} required />
        </label>
        <button type="submit" disabled={progress.kind === "running"}>
          {progress.kind === "running" ? "Running…" : "Run backtest"}
        </button>
      </form>
      {progress.kind === "failed" && <p role="alert">{progress.why}</p>}
      {progress.kind === "done" && <Results result={progress.result} />}
    </main>
  );
}

async function ask(body: Record<string, unknown>): Promise<Progress> {
  try {
    const response = await fetch("/api/backtest", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = (await response.json()) as Result & { error?: string };
    if (!response.ok) return { kind: "failed", why: answer.error ?? `The backtest ended with ${String(response.status)}.` };
    return { kind: "done", result: answer };
  } catch {
    return { kind: "failed", why: "The backtest could not be run; try again." };
  }
}

function Results({ result }: { result: Result }) {
  return (
    <section aria-label="Results">
      <div className="figures">
        <Figure label="Return" value={`${result.return_percent.toFixed(2)} %`} />
        <Figure label="Largest drawdown" value={`${result.max_drawdown_percent.toFixed(2)} %`} />
        <Figure label="Trades" value={String(result.trades)} />
      </div>
      <Equity values={result.equity} />
    </section>
  );
}

function Equity({ values }: { values: number[] }) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const points = values.map((value, i) => `${String(i)},${String(100 - (100 * (value - low)) / (high - low || 1))}`);
  return (
    <svg className="equity" viewBox={`0 -4 ${String(Math.max(values.length - 1, 1))} 108`} preserveAspectRatio="none" role="img" aria-label="Equity">
      <polyline points={points.join(" ")} />
    </svg>
  );
}

function Figure({ label, value }: { label: string; value: string }) {
  return (
    <div className="figure">
      <span>{label}</span>
      <strong>{value}</strong>
    </div>
  );
}
