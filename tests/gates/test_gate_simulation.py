"""Stated probabilities and delays, measured on simulated traffic with fixed seeds."""

from __future__ import annotations

import random
import statistics

import pytest
from arms import first_verdict, gate, metric, traffic

from roundtrip.gates.evidence import Baseline, Counts, Verdict
from roundtrip.gates.sequential import Judge

RUNS = 300


def verdicts(judge: Judge, *, runs: int = RUNS, **kind) -> list[tuple[Verdict | None, float]]:
    found = []
    for seed in range(runs):
        decision, seconds = first_verdict(judge, traffic(random.Random(seed), **kind))  # noqa: S311
        found.append((decision.verdict, seconds))
    return found


def share(found: list[tuple[Verdict | None, float]], verdict: Verdict) -> float:
    return sum(one is verdict for one, _ in found) / len(found)


def test_false_alarms_stay_below_what_is_stated():
    """At 10 % false alarm, so that a few hundred runs can tell; a soak, so that no PASS ends a run early."""
    judge = Judge(gate(false_alarm=0.1, minimum_seconds=180, deadline_seconds=200))
    found = verdicts(judge, seconds=180, per_second=50, share=0.2, stable_rate=0.01, canary_rate=0.01)
    assert share(found, Verdict.FAIL) <= 0.1


def test_false_passes_stay_below_what_is_stated_at_the_edge_of_what_is_tolerated():
    """Twice as bad as stable, and above the absolute tolerance: PASS in at most 20 %."""
    lenient = gate(metric(fail_odds=[1000.0]), false_pass=0.2, deadline_seconds=120)
    found = verdicts(
        Judge(lenient), seconds=120, per_second=100, share=0.5, stable_rate=0.01, canary_rate=0.02
    )
    assert share(found, Verdict.PASS) <= 0.2


def test_a_canary_alone_keeps_both_probabilities():
    """The baseline is drawn anew for each run, so its own luck counts too."""
    alarms = passes = 0
    for seed in range(RUNS):
        dice = random.Random(seed)  # noqa: S311
        recorded = Baseline(Counts(2_000, sum(dice.random() < 0.01 for _ in range(2_000))))
        plan = gate(false_alarm=0.1, false_pass=0.2, minimum_seconds=60, deadline_seconds=80)
        judge = Judge(plan, {"errors": recorded})
        kind = {"seconds": 80, "per_second": 40, "share": 1.0, "stable_rate": 0.0}
        same, _ = first_verdict(judge, traffic(dice, canary_rate=0.01, **kind))
        twice, _ = first_verdict(judge, traffic(dice, canary_rate=0.02, **kind))
        alarms += same.verdict is Verdict.FAIL
        passes += twice.verdict is Verdict.PASS
    assert alarms / RUNS <= 0.1
    assert passes / RUNS <= 0.2


@pytest.mark.parametrize(
    ("per_second", "stable_rate", "fault_at", "within"),
    [(500, 0.005, 0, 2), (50, 0.005, 0, 6), (5, 0.005, 0, 60), (50, 0.0, 0, 6), (50, 0.005, 130, 10)],
    ids=["busy", "usual", "quiet", "stable-never-fails", "late"],
)
def test_a_fifth_of_failing_requests_is_found_soon(per_second, stable_rate, fault_at, within):
    judge = Judge(gate(minimum_seconds=500))
    found = verdicts(
        judge,
        runs=60,
        seconds=400,
        per_second=per_second,
        share=0.1,
        stable_rate=stable_rate,
        canary_rate=0.2,
        fault_at=fault_at,
    )
    delays = [seconds - fault_at for verdict, seconds in found if verdict is Verdict.FAIL]
    assert len(delays) >= 59
    assert statistics.median(delays) <= within


def test_a_canary_as_good_as_stable_passes_in_good_time():
    found = verdicts(
        Judge(gate()), runs=60, seconds=600, per_second=50, share=0.5, stable_rate=0.002, canary_rate=0.002
    )
    assert share(found, Verdict.PASS) >= 0.97
    assert statistics.median(seconds for _, seconds in found) <= 60
