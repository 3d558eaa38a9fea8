"""Many gates judged at once end as each of them does when it is judged alone."""

from __future__ import annotations

import numpy as np
import pytest
from arms import gate, metric, sample
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from roundtrip.errors import GateError
from roundtrip.gates.eprocess import rate_bounds
from roundtrip.gates.evidence import Baseline, Counts, Sample, Verdict
from roundtrip.gates.history import judged
from roundtrip.gates.many import Arms, Recorded
from roundtrip.gates.many_alone import rate_bounds as rate_bounds_of_many
from roundtrip.gates.sequential import Judge

interval = st.tuples(st.integers(0, 30), st.integers(0, 60), st.integers(0, 9), st.integers(0, 9))
several = st.integers(5, 90).flatmap(
    lambda samples: st.lists(st.lists(interval, min_size=samples, max_size=samples), min_size=1, max_size=3)
)

KINDS = {
    "independent": {},
    "bursts-of-a-size": {"noise": "bursts", "burst_seconds": 4, "burst_ratio": 3},
    "bursts-of-any-size": {"noise": "bursts", "burst_seconds": 3},
}


def counted(histories) -> Arms:
    """Intervals of (canary total, stable total, canary bad, stable bad); at most one bad try a request."""
    array = np.array(histories, dtype=np.int64)
    n, m = array[:, :, 0], array[:, :, 1]
    return Arms(n, np.minimum(n, array[:, :, 2]), m, np.minimum(m, array[:, :, 3]))


def alone(judge: Judge, arms: Arms, row: int, *metrics: str) -> tuple[Verdict | None, float]:
    """What the judge says of one of them, before the deadline ends it; every one of `metrics` counts the same."""
    canary = stable = Counts()
    state = judge.start()
    for number in range(arms.canary.shape[1] + 1):
        if number > 0:
            canary += Counts(int(arms.canary[row, number - 1]), int(arms.canary_bad[row, number - 1]))
            stable += Counts(int(arms.stable[row, number - 1]), int(arms.stable_bad[row, number - 1]))
        at = sample(number, (0, 0), (0, 0)).at
        counted = (dict.fromkeys(metrics, arm) for arm in (canary, stable))
        state, decision = judge.fold(state, Sample(number, at, at, *counted), at)
        if decision.verdict is not None:
            return decision.verdict, float(number)
    return None, float("inf")


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(
    histories=several,
    tolerance=st.sampled_from([0.0, 0.02, 0.2]),
    minimum=st.sampled_from([0, 30]),
    warm_up=st.sampled_from([0, 7]),
)
def test_history_and_judge_come_to_the_same_verdict_at_the_same_moment(
    kind, histories, tolerance, minimum, warm_up
):
    plan = gate(
        metric(absolute_tolerance=tolerance),
        minimum_seconds=minimum,
        warm_up_seconds=warm_up,
        false_pass=0.2,
        false_alarm=0.05,
        minimum_requests=10,
        **KINDS[kind],
    )
    arms = counted(histories)
    outcomes = judged(plan, {"errors": arms})
    for row in range(len(histories)):
        assert outcomes.verdict(row) == alone(Judge(plan), arms, row, "errors")


def test_a_stable_arm_that_serves_nothing_ends_them_both():
    plan = gate()
    arms = counted([[(30, 0, 0, 0)] * 60])
    assert judged(plan, {"errors": arms}).verdict(0) == (Verdict.INCONCLUSIVE, 34.0)
    assert alone(Judge(plan), arms, 0, "errors") == (Verdict.INCONCLUSIVE, 34.0)


def of_stable(counts: list[tuple[int, int]]) -> Recorded:
    array = np.array(counts, dtype=np.int64)
    return Recorded(array[:, 0], np.minimum(array[:, 0], array[:, 1]))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=40)
@given(
    histories=several,
    baselines=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 60)), min_size=3, max_size=3),
    tolerance=st.sampled_from([0.0, 0.01, 0.2]),
    minimum=st.sampled_from([0, 30]),
)
def test_history_and_judge_agree_also_on_a_canary_that_runs_alone(
    kind, histories, baselines, tolerance, minimum
):
    """One metric alone with a baseline of its own in each gate, and one with stable beside it."""
    assume(tolerance > 0 or all(total > 0 for total, _ in baselines))
    plan = gate(
        metric("beside", absolute_tolerance=0.2),
        metric(absolute_tolerance=tolerance),
        minimum_seconds=minimum,
        false_pass=0.2,
        false_alarm=0.05,
        minimum_requests=10,
        **KINDS[kind],
    )
    arms, recorded = counted(histories), of_stable(baselines[: len(histories)])
    both = {"beside": arms, "errors": arms}
    outcomes = judged(plan, both, {"errors": recorded})
    shorter = judged(plan, both, {"errors": recorded}, to_first_verdict=True)
    for row in range(len(histories)):
        baseline = Baseline(Counts(int(recorded.total[row]), int(recorded.bad[row])))
        judge = Judge(plan, {"errors": baseline})
        assert outcomes.verdict(row) == alone(judge, arms, row, "beside", "errors")
        assert shorter.verdict(row) == outcomes.verdict(row)


@given(
    counts=st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**4)), min_size=1, max_size=5),
    miss=st.sampled_from([0.001, 0.05, 0.4]),
)
def test_bounds_of_many_recorded_rates_are_those_of_each(counts, miss):
    recorded = of_stable(counts)
    lower, upper = rate_bounds_of_many(recorded, miss)
    for row, (total, bad) in enumerate(zip(recorded.total, recorded.bad, strict=True)):
        assert (lower[row], upper[row]) == pytest.approx(
            rate_bounds(Counts(int(total), int(bad)), miss), rel=1e-9
        )


def test_a_gate_with_nothing_to_compare_with_is_refused_as_the_judge_refuses_it():
    plan, arms = gate(metric(absolute_tolerance=0.0)), counted([[(30, 0, 0, 0)] * 5] * 2)
    with pytest.raises(GateError, match="nothing is recorded of stable"):
        judged(plan, {"errors": arms}, {"errors": of_stable([(100, 0), (0, 0)])})
