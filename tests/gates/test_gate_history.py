"""Many gates judged at once end as each of them does when it is judged alone."""

from __future__ import annotations

import numpy as np
import pytest
from arms import gate, metric, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.gates.evidence import Counts, Verdict
from roundtrip.gates.history import Arms, judged
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


def alone(judge: Judge, arms: Arms, row: int) -> tuple[Verdict | None, float]:
    """What the judge says of one of them, before the deadline ends it."""
    state = judge.start()
    canary = stable = Counts()
    state, _ = judge.fold(state, sample(0, (0, 0), (0, 0)), sample(0, (0, 0), (0, 0)).at)
    for number in range(arms.canary.shape[1]):
        canary += Counts(int(arms.canary[row, number]), int(arms.canary_bad[row, number]))
        stable += Counts(int(arms.stable[row, number]), int(arms.stable_bad[row, number]))
        one = sample(number + 1, (canary.total, canary.bad), (stable.total, stable.bad))
        state, decision = judge.fold(state, one, one.at)
        if decision.verdict is not None:
            return decision.verdict, number + 1.0
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
        assert outcomes.verdict(row) == alone(Judge(plan), arms, row)


def test_a_stable_arm_that_serves_nothing_ends_them_both():
    plan = gate()
    arms = counted([[(30, 0, 0, 0)] * 60])
    assert judged(plan, {"errors": arms}).verdict(0) == (Verdict.INCONCLUSIVE, 34.0)
    assert alone(Judge(plan), arms, 0) == (Verdict.INCONCLUSIVE, 34.0)
