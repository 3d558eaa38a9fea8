"""`PYTHONPATH=include python -m benchmarks.judges.alarms --named NOISE --rate N`: false alarms of `bursts` of any size only,
with more runs than the tables have.

A thousand runs tell 1.2 % from 1.0 % no better than a coin does. Batch by batch, the first with --seed, the next with one more.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.judges.measuring import OURS, our_gates
from benchmarks.judges.tables import alarm_cell
from benchmarks.judges.traffic import NOISES, REPLICA_NOISES, Cell
from roundtrip.gates.history import judged

BATCH = 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges.alarms", description=__doc__)
    noises = {noise.name: noise for noise in (*NOISES, *REPLICA_NOISES)}
    parser.add_argument("--named", choices=noises, required=True)
    parser.add_argument("--rate", type=float, required=True, help="canary requests a second")
    parser.add_argument("--batches", type=int, default=5, help=f"of {BATCH} runs")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cell = Cell(noises[options.named], options.rate)
    gate = our_gates(cell)[OURS[2]]
    alarms = runs = 0
    for batch in range(options.batches):
        failed = judged(gate, {"errors": cell.harmless(BATCH, options.seed + batch)}).failed
        alarms, runs = alarms + int(np.isfinite(failed).sum()), runs + BATCH
        share = alarm_cell(alarms, runs, digits=2)
        print(f"{cell.name}, {cell.per_second:g}/s: {alarms} of {runs}: {share} %", flush=True)


if __name__ == "__main__":
    main()
