"""`PYTHONPATH=include python -m benchmarks.judges [--runs N] [--only GROUP …]`: prints the tables of
docs/gates-measured.md, in Markdown.

The groups: `arms` (no noise, shared, or each arm for itself), `replicas` (each replica for itself), `recorded` (what is
in recordings/; `benchmarks.judges.record` makes them). Without --only all of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.judges.measuring import Measured, Traffic, measured
from benchmarks.judges.recording import RECORDINGS, Recorded, read
from benchmarks.judges.tables import print_tables, print_targets
from benchmarks.judges.traffic import NOISES, REPLICA_NOISES, Cell

RATES = (0.2, 5.0, 50.0)
LEAST_HARMFUL = 20
GROUPS = ("arms", "replicas", "recorded")


def cells(groups: Sequence[str], text: str, recordings: Path) -> list[Traffic]:
    """The kinds of traffic of `groups` that have `text` in their name."""
    found: list[Traffic] = []
    for group, noises in (("arms", NOISES), ("replicas", REPLICA_NOISES)):
        if group in groups:
            found += [Cell(noise, rate) for noise in noises for rate in RATES]
    if "recorded" in groups:
        found += [one for file in sorted(recordings.glob("*.jsonl")) for one in read(file)]
    return [one for one in found if text in one.name]


def print_recorded(one: Recorded) -> None:
    """What the recording holds, and how its bad requests come."""
    print(
        f"{one.name}: {one.total.size} seconds ({one.left_out} left out), {one.total.sum()} requests to stable, "
        f"{one.bad.sum()} bad ({one.rate:.3%}); scattered {one.dispersion:.1f} times as much as independent ones"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges", description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="without harm; a tenth as many with each harm")
    parser.add_argument("--quick", action="store_const", dest="runs", const=100, help="--runs 100: coarse")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS, metavar="GROUP")
    parser.add_argument("--named", default="", help="only the kinds of traffic with this in their name")
    parser.add_argument("--recordings", type=Path, default=RECORDINGS)
    options = parser.parse_args()
    harmless, harmful = options.runs, max(LEAST_HARMFUL, options.runs // 10)
    began = time.monotonic()
    results: dict[Traffic, dict[str, Measured]] = {}
    for traffic in cells(options.only, options.named, options.recordings):
        results[traffic] = measured(traffic, harmless_runs=harmless, harmful_runs=harmful, seed=options.seed)
        took = time.monotonic() - began
        print(f"{traffic.name}, {traffic.per_second:.3g}/s: {took:.0f} s", file=sys.stderr, flush=True)
    if not results:
        parser.error(f"there is no such traffic; recordings are looked for in {options.recordings}")
    print(f"{harmless} runs without harm and {harmful} with each harm, an hour each; seed {options.seed}.")
    for traffic in results:
        if isinstance(traffic, Recorded):
            print_recorded(traffic)
    print_tables(results)
    print_targets(results)


if __name__ == "__main__":
    main()
