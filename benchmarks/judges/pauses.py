"""`PYTHONPATH=include python -m benchmarks.judges.pauses`: what the pause between blocks costs, and what it is for.

False alarms in an hour, seconds to FAIL at 2 % bad requests and seconds to PASS, of `bursts` of any size, with pauses of a
part of a burst and of a whole one. The block stays two bursts long.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from unittest.mock import patch

import numpy as np

from benchmarks.judges.measuring import OURS, joined, our_gates
from benchmarks.judges.tables import alarm_cell, delay_cell
from benchmarks.judges.traffic import NOISES, Cell
from roundtrip.gates import many
from roundtrip.gates.history import judged

PAUSES = (0.25, 0.5, 1.0)
HARM = 0.02
HARMFUL_RUNS = 100
CELLS = (("per arm, rare, 10 s", 50.0), ("per arm, 10 s", 5.0))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges.pauses", description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="without harm")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    noises = {noise.name: noise for noise in NOISES}
    print("| traffic | pause, bursts | false alarms, % | FAIL at 2 % | PASS |\n|---|---|---|---|---|")
    for name, rate in CELLS:
        cell = Cell(noises[name], rate)
        harmless = cell.harmless(options.runs, options.seed)
        arms = joined([harmless, cell.harmful(HARM, HARMFUL_RUNS, options.seed)])
        gate = our_gates(cell)[OURS[2]]
        for pause in PAUSES:
            with patch.object(many, "GUARD_BURSTS", pause):
                outcomes = judged(gate, {"errors": arms})
            failed, harmful = outcomes.failed[: options.runs], outcomes.failed[options.runs :]
            alarms = int(np.isfinite(failed).sum())
            share = alarm_cell(alarms, options.runs, digits=2)
            passed = delay_cell(outcomes.passed[: options.runs])
            print(
                f"| {name}, {rate:g}/s | {pause:g} | {share} | {delay_cell(harmful)} | {passed} |", flush=True
            )


if __name__ == "__main__":
    main()
