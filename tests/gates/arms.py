"""Gates, samples and traffic for the tests of the gates."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from roundtrip.gates.evidence import Counts, Decision, Sample
from roundtrip.gates.sequential import Judge, State
from roundtrip.plan.model import Gate, Metric

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def metric(name: str = "errors", **changes: object) -> Metric:
    fields = {"name": name, "kind": "errors", "source": "front-door", "service": "api", **changes}
    return Metric.model_validate(fields)


def work(**changes: object) -> Metric:
    """A throughput."""
    of_queue = {"kind": "throughput", "source": "services", "service": "workers", "absolute_tolerance": 0}
    return metric(**{"name": "work", **of_queue, **changes})


def waiting(**changes: object) -> Metric:
    """A gauge: orders that wait."""
    bound = {"gauge": "stream_lag", "higher_than": 10, "burst_seconds": 5, "absolute_tolerance": 0.5}
    of_queue = {"kind": "gauge", "source": "services", "service": "workers", **bound}
    return metric(**{"name": "waiting", **of_queue, **changes})


def gate(*metrics: Metric, **changes: object) -> Gate:
    fields: dict[str, object] = {"metrics": list(metrics) or [metric()], "deadline_seconds": 600, **changes}
    return Gate.model_validate(fields)


def sample(
    number: int,
    canary: tuple[int, int],
    stable: tuple[int, int],
    *,
    seconds: float | None = None,
    missing: dict[str, str] | None = None,
    name: str = "errors",
) -> Sample:
    """Sample `number`, by default one a second; the arms are (total, bad)."""
    at = NOON + timedelta(seconds=number if seconds is None else seconds)
    return Sample(number, at, NOON, {name: Counts(*canary)}, {name: Counts(*stable)}, missing or {})


def judged(judge: Judge, samples: Iterable[Sample]) -> tuple[State, Decision]:
    """All samples folded, whatever is decided on the way."""
    state, decision = judge.start(), Decision(None, "")
    for one in samples:
        state, decision = judge.fold(state, one, one.at)
    return state, decision


def first_verdict(judge: Judge, samples: Iterable[Sample]) -> tuple[Decision, float]:
    """The first verdict and the seconds until then."""
    state, decision = judge.start(), Decision(None, "")
    for one in samples:
        state, decision = judge.fold(state, one, one.at)
        if decision.verdict is not None:
            return decision, (one.at - NOON).total_seconds()
    return decision, math.inf


def poisson(dice: random.Random, mean: float) -> int:
    """Arrivals in an interval, by their gaps."""
    count, time = 0, dice.expovariate(1.0)
    while time < mean:
        count += 1
        time += dice.expovariate(1.0)
    return count


def bad_of(dice: random.Random, requests: int, rate: float) -> int:
    """How many of `requests` are bad, by the gaps between them."""
    if rate <= 0:
        return 0
    bad, position = 0, 0
    while True:
        position += 1 + int(math.log(1.0 - dice.random()) / math.log1p(-rate))
        if position > requests:
            return bad
        bad += 1


def traffic(
    dice: random.Random,
    *,
    seconds: int,
    per_second: float,
    share: float,
    stable_rate: float,
    canary_rate: float,
    fault_at: int = 0,
) -> Iterator[Sample]:
    """A gate under traffic, a sample a second; before `fault_at` the canary is as good as stable."""
    canary, stable = Counts(), Counts()
    yield sample(0, (0, 0), (0, 0))
    for second in range(1, seconds + 1):
        n, m = poisson(dice, per_second * share), poisson(dice, per_second * (1 - share))
        rate = canary_rate if second > fault_at else stable_rate
        canary += Counts(n, bad_of(dice, n, rate))
        stable += Counts(m, bad_of(dice, m, stable_rate))
        yield sample(second, (canary.total, canary.bad), (stable.total, stable.bad))
