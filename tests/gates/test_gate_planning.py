"""What a gate needs is told before it begins, and is what it then needs."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from arms import first_verdict, gate, metric, poisson, sample, traffic, waiting, work

from roundtrip.errors import GateError
from roundtrip.gates.evidence import Baseline, Verdict
from roundtrip.gates.needs import need
from roundtrip.gates.planning import refuse_undecidable, traffic_needed
from roundtrip.gates.sequential import Judge


@pytest.mark.parametrize(
    ("per_second", "share", "error_rate"),
    [(50, 0.5, 0.0), (50, 0.1, 0.002), (100, 0.5, 0.05), (20, 1.0, 0.0)],
)
def test_the_time_that_is_told_is_near_the_time_that_it_takes(per_second, share, error_rate):
    plan = gate(deadline_seconds=3000)
    told = traffic_needed(plan, per_second, share, error_rate=error_rate)
    judge = Judge(plan, {"errors": Baseline()} if share == 1 else None)
    took = []
    for seed in range(20):
        kind = {"seconds": 3000, "per_second": per_second, "share": share}
        one = traffic(random.Random(seed), stable_rate=error_rate, canary_rate=error_rate, **kind)  # noqa: S311
        decision, seconds = first_verdict(judge, one)
        assert decision.verdict is Verdict.PASS
        took.append(seconds)
    assert told / 2 <= statistics.median(took) <= told * 2


@pytest.mark.parametrize(
    ("per_second", "share", "error_rate"), [(50, 0.5, 0.0), (100, 0.2, 0.02), (20, 1.0, 0.0)]
)
def test_blocks_need_the_time_that_is_told(per_second, share, error_rate):
    plan = gate(deadline_seconds=20_000, noise="bursts", burst_seconds=5, burst_ratio=4)
    told = traffic_needed(plan, per_second, share, error_rate=error_rate)
    judge = Judge(plan, {"errors": Baseline()} if share == 1 else None)
    took = []
    for seed in range(9):
        kind = {"seconds": 20_000, "per_second": per_second, "share": share}
        one = traffic(random.Random(seed), stable_rate=error_rate, canary_rate=error_rate, **kind)  # noqa: S311
        decision, seconds = first_verdict(judge, one)
        assert decision.verdict is Verdict.PASS
        took.append(seconds)
    assert told / 2.5 <= statistics.median(took) <= told * 2.5


def test_a_gate_that_cannot_decide_by_its_deadline_is_refused_with_the_numbers():
    plan = gate(deadline_seconds=60)
    assert refuse_undecidable(plan, 100, 0.5) < 60
    with pytest.raises(
        GateError, match=r"0\.2 requests/s and 5% .* needs \d+ s to pass, its deadline is 60 s"
    ):
        refuse_undecidable(plan, 0.2, 0.05)


def test_without_a_tolerance_and_without_errors_no_time_is_enough():
    plan = gate(metric(absolute_tolerance=0.0))
    assert traffic_needed(plan, 100, 0.5) == math.inf
    assert traffic_needed(plan, 100, 0.5, error_rate=0.05) < 100


def test_minimum_time_and_requests_count_too():
    assert traffic_needed(gate(minimum_seconds=500), 100, 0.5) == 501
    assert traffic_needed(gate(minimum_requests=5000), 100, 0.5) == 101
    assert traffic_needed(gate(minimum_requests=5000, warm_up_seconds=10), 100, 0.5) == 111


@pytest.mark.parametrize("numbers", [(0, 0.5), (10, 0), (10, 1.5), (-1, 0.5)])
def test_no_traffic_is_our_bug(numbers):
    with pytest.raises(RuntimeError, match="no traffic"):
        traffic_needed(gate(), *numbers)


WORK = work(name="errors")


@pytest.mark.parametrize("noise", [{}, {"noise": "bursts", "burst_seconds": 5}])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_throughput_needs_the_time_that_is_told(share: float, noise: dict[str, object]):
    plan = gate(WORK, deadline_seconds=4000, minimum_requests=1, **noise)
    told = traffic_needed(plan, 20, share)
    took = []
    for seed in range(9):
        dice = random.Random(seed)  # noqa: S311
        finished, samples = [0, 0], [sample(0, (0, 0), (0, 0))]
        for second in range(1, 4001):
            finished = [
                done + poisson(dice, 20 * part)
                for done, part in zip(finished, (share, 1 - share), strict=True)
            ]
            time = [round(4000 * second * part) for part in (share, 1 - share)]
            samples.append(sample(second, (time[0], finished[0]), (time[1], finished[1])))
        decision, seconds = first_verdict(Judge(plan), samples)
        assert decision.verdict is Verdict.PASS
        took.append(seconds)
    assert told / 2.5 <= statistics.median(took) <= told * 2.5


def test_a_gauge_needs_time_and_no_traffic():
    lag = waiting(higher_than=3)
    plan = gate(lag, minimum_requests=10**6, deadline_seconds=200)
    needed = need(plan, lag, 0.5, stated=0.001)
    assert needed.is_enough
    assert str(needed) == f"looks for {needed.looked_seconds:.0f} s, whatever the traffic"
    assert traffic_needed(plan, 0.001, 0.5) == traffic_needed(plan, 1000, 0.5)
    samples = [sample(n, (n, 0), (n, 0), name="waiting") for n in range(200)]
    decision, seconds = first_verdict(Judge(plan), samples)
    assert decision.verdict is Verdict.PASS
    assert needed.looked_seconds / 2 <= seconds <= needed.looked_seconds * 2
    short = plan.model_copy(update={"deadline_seconds": needed.looked_seconds})
    assert not need(short, lag, 0.5, stated=1000).is_enough
