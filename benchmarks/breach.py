"""Breaches: from the evidence that makes a gate FAIL to no traffic on the new version, and to everything proven restored.

    PYTHONPATH=include .venv/bin/python -m benchmarks.breach --runs 100

Each run is a release of the `latency` fault on the real platform with real clients (`benchmarks.live`), about 13 s after the
builds; the next one starts where the one before was taken back to. What is measured is the gate's own way: the moment of
the sample that breached, then reading, recording, judging, the converge, and the target's own look at what it serves.
Results are appended to `.roundtrip/live/breach.jsonl`; a run that is cut off goes on with the same command.
"""

from __future__ import annotations

import argparse

from benchmarks.live.releasing import Ended, carry_out
from benchmarks.live.results import append, between, read, seconds
from benchmarks.live.stage import HOME, place

FAULT = "latency"
AT = (0.5, 0.95, 0.99)


def main() -> None:
    """Release `runs` times, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100, help="how many releases there are to be in the end")
    parser.add_argument("--report", action="store_true", help="only print what is there")
    options = parser.parse_args()
    results = HOME / "breach.jsonl"
    done = list(read(results))
    if not options.report and len(done) < options.runs:
        with place(FAULT) as here:
            while len(done) < options.runs:
                release = here.release(here.released + 1)
                done.append(carry_out(release, lambda _: None, slow_is_bad=True))
                append(results, done[-1])
                print(f"{len(done)}/{options.runs} {done[-1].outcome}: {done[-1].reason}", flush=True)
    print(_table(done))


def _table(done: list[Ended]) -> str:
    found = [one for one in done if one.breach_at is not None]
    rows = {
        "first bad answer until the sample that breached": lambda o: between(o.first_bad_at, o.breach_at),
        "that sample until the canary's weight is 0": lambda o: between(o.breach_at, o.pulled_at),
        "that sample until everything is proven restored": lambda o: o.restored_seconds,
    }
    lines = [
        f"{len(done)} releases, {len(found)} breaches",
        "",
        "| seconds | median | p95 | p99 | worst | n |",
        "| --- | --- | --- | --- | --- | --- |",
        *(f"| {what} | {seconds(found, of, AT)} |" for what, of in rows.items()),
        "",
        f"failed requests that the new version did not answer: {sum(one.failed_elsewhere for one in done)}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
