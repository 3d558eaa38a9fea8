"""Calibration: what the gates of a plan would do, simulated on the traffic that its environments state.

Rules:
1. Gates are those that a release would get: the plan's, with what the environment changes in them.
2. Each interval's requests are Poisson, bad ones binomial; healthy means that both versions are bad at the same rate,
   harmful that one metric of the canary is at another and all others are healthy.
3. An arm that is alone has a recorded baseline instead of traffic; such a gate is named and not simulated.
4. The same seed gives the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roundtrip.errors import PlanError
from roundtrip.gates.history import Arms, Floats, judged
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Gate, Metric, Plan, Wave
from roundtrip.rollout.decidable import canary_share, gates_of
from roundtrip.rollout.gate_settings import settings
from roundtrip.traffic.mix import FRESH_PERCENT, SERVICES, SHARES

HARMS = (0.01, 0.02, 0.05, 0.2)
"""bad requests of the canary, as a share of its requests"""
ORDERS = "place order"


@dataclass(frozen=True)
class Place:
    """A plan and where it is carried out; what `gate_settings` asks of a release."""

    plan: Plan
    environments: Mapping[str, Environment]

    def environment(self, stage: str) -> Environment:
        """The environment of `staging` or `production`."""
        return self.environments[stage]


@dataclass(frozen=True)
class Flow:
    """What a metric gets each second: requests, or orders of a queue."""

    canary: float
    stable: float


@dataclass(frozen=True)
class Times:
    """Seconds from the gate's start to a verdict; infinite: never, since another one came first or the deadline."""

    median: float
    late: float
    """95th percentile"""
    share: float
    """of the gates that came to this verdict"""

    @classmethod
    def of(cls, each: Floats) -> Times:
        """Of the seconds of each gate."""
        ordered = np.sort(each)
        middle, late = (ordered.size - 1) // 2, math.ceil(0.95 * ordered.size) - 1
        return cls(float(ordered[middle]), float(ordered[late]), float(np.isfinite(ordered).mean()))

    def to_json(self) -> dict[str, float | None]:
        """None for never."""
        each = {"median_seconds": self.median, "late_seconds": self.late}
        finite = {name: None if math.isinf(value) else value for name, value in each.items()}
        return {**finite, "share": self.share}


@dataclass(frozen=True)
class Found:
    """What became of gates whose canary had one harm in one metric."""

    metric: str
    bad_share: float
    fails: Times
    passed_share: float
    """of the gates that ended with PASS: harm below the plan's tolerance is meant to"""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**vars(self), "fails": self.fails.to_json()}


@dataclass(frozen=True)
class Calibration:
    """One gate at one step of a plan."""

    stage: str
    step: str
    gate: str
    runs: int
    """healthy ones; as many for each harm of each metric"""
    stated_false_alarm: float
    false_alarms: int
    passes: Times
    found: tuple[Found, ...]
    """each metric with each harm"""

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the false-alarm rate."""
        return wilson(self.false_alarms, self.runs)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "stage": self.stage,
            "step": self.step,
            "gate": self.gate,
            "runs": self.runs,
            "stated_false_alarm": self.stated_false_alarm,
            "false_alarms": self.false_alarms,
            "false_alarm_interval": list(self.interval),
            "passes": self.passes.to_json(),
            "found": [one.to_json() for one in self.found],
        }


def wilson(hits: int, runs: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    z = 1.959964
    middle = (hits + z * z / 2) / (runs + z * z)
    half = z / (runs + z * z) * math.sqrt(hits * (runs - hits) / runs + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Simulation:
    """What is drawn."""

    runs: int
    """healthy ones, and so many again for each harm of each metric"""
    error_rate: float
    """share of requests that is bad where nothing is wrong"""
    seed: int


@dataclass(frozen=True)
class _Step:
    stage: str
    name: str
    step: str
    gate: Gate
    flows: Mapping[str, Flow]

    @property
    def is_side_by_side(self) -> bool:
        return all(one.stable and one.canary for one in self.flows.values())


def calibrations(place: Place, simulation: Simulation) -> Iterator[Calibration]:
    """Each gate whose canary has stable beside it. Raises PlanError when an environment states no traffic."""
    for one in _steps(place):
        if one.is_side_by_side:
            yield _calibrated(one, simulation)


def not_simulated(place: Place) -> list[str]:
    """Steps whose gates judge, for one metric or all, against what is recorded of stable (rule 3)."""
    return [f"{one.stage}, {one.step}" for one in _steps(place) if not one.is_side_by_side]


def _steps(place: Place) -> Iterator[_Step]:
    for stage, name, step, wave in gates_of(place.plan):
        gate = settings(place, stage, name)
        flows = {metric.name: flow(place, stage, metric, wave) for metric in gate.metrics}
        yield _Step(stage, name, step, gate, flows)


def flow(place: Place, stage: str, metric: Metric, wave: Wave) -> Flow:
    """What canary and stable get each second of a metric's service. Raises PlanError when nobody says."""
    environment, service = place.environment(stage), place.plan.services[metric.service]
    share = canary_share(place.plan, metric.service, wave)
    stated = environment.expected_requests_per_second.get(metric.service)
    if stated is None and environment.traffic is not None:
        routes = [ORDERS] if service.queue else [r for r, s in SERVICES.items() if s == metric.service]
        stated = environment.traffic.requests_per_second * sum(SHARES[route] for route in routes) / 100
        if not service.queue and share < 1:
            share *= FRESH_PERCENT / 100  # the others stay with the version that answered them first
    if not stated:
        raise PlanError(
            f"expected the requests/s that {metric.service} gets, got none",
            where=environment.name,
            remedy="state expected_requests_per_second in the environment",
        )
    return Flow(stated * share, stated * (1 - share))


def _calibrated(one: _Step, simulation: Simulation) -> Calibration:
    kinds = [(metric, harm) for metric in one.flows for harm in HARMS]
    rates = {metric: np.full(len(kinds) + 1, simulation.error_rate) for metric in one.flows}
    for number, (metric, harm) in enumerate(kinds, 1):
        rates[metric][number] = harm
    histories = {metric: _drawn(one, metric, rates[metric], simulation) for metric in one.flows}
    outcomes = judged(one.gate, histories)
    shape = (len(kinds) + 1, simulation.runs)
    failed, passed = outcomes.failed.reshape(shape), outcomes.passed.reshape(shape)
    # A live gate ends with its first verdict.
    fails = np.where(failed <= passed, failed, math.inf)
    passes = np.where(passed < failed, passed, math.inf)
    return Calibration(
        stage=one.stage,
        step=one.step,
        gate=one.name,
        runs=simulation.runs,
        stated_false_alarm=one.gate.false_alarm,
        false_alarms=int(np.isfinite(fails[0]).sum()),
        passes=Times.of(passes[0]),
        found=tuple(
            Found(metric, harm, Times.of(fails[number]), float(np.isfinite(passes[number]).mean()))
            for number, (metric, harm) in enumerate(kinds, 1)
        ),
    )


def _drawn(one: _Step, metric: str, rates: Floats, simulation: Simulation) -> Arms:
    """`runs` gates for each of the canary's rates, one after the other."""
    interval, gets = one.gate.interval_seconds, one.flows[metric]
    dice = np.random.default_rng([simulation.seed, *f"{one.stage} {one.step} {metric}".encode()])
    shape = (simulation.runs * rates.size, math.ceil(one.gate.deadline_seconds / interval))
    canary, stable = (dice.poisson(each * interval, shape) for each in (gets.canary, gets.stable))
    bad = np.repeat(rates, simulation.runs)[:, None]
    return Arms(canary, dice.binomial(canary, bad), stable, dice.binomial(stable, simulation.error_rate))
