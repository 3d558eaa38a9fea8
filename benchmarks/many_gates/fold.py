"""What judging one sample takes: the fold alone, of the plan's gate `production-wave`, without reading or recording.

    PYTHONPATH=include .venv/bin/python -m benchmarks.many_gates.fold

CPU time, which a busy machine changes little; the least of ROUNDS is shown beside the median.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from statistics import median

from benchmarks.many_gates.ground import PLAN, ROOT
from roundtrip.gates.evidence import Counts, Sample
from roundtrip.gates.guard_rails import Guarded
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Gate

SAMPLES = 1000
ROUNDS = 9
NOON = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def main() -> None:
    """Print microseconds a sample."""
    gate = load_plan(ROOT / "include" / "plans" / PLAN).gates["production-wave"]
    rounds = sorted(1e6 * _seconds(gate, _samples(gate)) / SAMPLES for _ in range(ROUNDS))
    print(
        f"production-wave, {len(gate.metrics)} metrics and {len(gate.guard_rails)} guard rails: "
        f"{median(rounds):.0f} µs a sample, at best {rounds[0]:.0f}"
    )


def _samples(gate: Gate) -> list[Sample]:
    """A canary as good as stable, one sample a second."""
    return [
        Sample(
            number,
            NOON + timedelta(seconds=number),
            NOON,
            {metric.name: Counts(20 * number, number // 10) for metric in gate.metrics},
            {metric.name: Counts(180 * number, 9 * number // 10) for metric in gate.metrics},
            {},
            {rail.name: 0.0 for rail in gate.guard_rails},
        )
        for number in range(SAMPLES)
    ]


def _seconds(gate: Gate, samples: list[Sample]) -> float:
    judge = Guarded(gate)
    state = judge.start()
    began = time.process_time()
    for sample in samples:
        state, _ = judge.fold(state, sample, sample.at)
    return time.process_time() - began


if __name__ == "__main__":
    main()
