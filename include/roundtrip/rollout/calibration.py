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
from roundtrip.gates.evidence import Verdict
from roundtrip.gates.history import Arms, Floats, judged
from roundtrip.gates.summary import Times, wilson
from roundtrip.plan.model import Gate, Metric, Wave
from roundtrip.rollout.decidable import canary_share, gates_of
from roundtrip.rollout.gate_settings import Planned, settings
from roundtrip.traffic.mix import FRESH_PERCENT, share_of

HARMS = (0.01, 0.02, 0.05, 0.2)
"""bad requests of the canary, as a share of its requests"""
CELLS = 2**21
"""intervals of all gates that are drawn at once; bounds the memory"""


@dataclass(frozen=True)
class Flow:
    """What a metric gets each second: requests, or orders of a queue."""

    canary: float
    stable: float


@dataclass(frozen=True)
class Detection:
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
    detections: tuple[Detection, ...]
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
            "detections": [one.to_json() for one in self.detections],
        }


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


def calibrations(planned: Planned, simulation: Simulation) -> Iterator[Calibration]:
    """Each gate whose canary has stable beside it. Raises PlanError when an environment states no traffic."""
    for one in _steps(planned):
        if one.is_side_by_side:
            yield _calibrated(one, simulation)


def not_simulated(planned: Planned) -> list[str]:
    """Steps whose gates judge, for one metric or all, against what is recorded of stable (rule 3)."""
    return [f"{one.stage}, {one.step}" for one in _steps(planned) if not one.is_side_by_side]


def _steps(planned: Planned) -> Iterator[_Step]:
    for stage, name, step, wave in gates_of(planned.plan):
        gate = settings(planned, stage, name)
        flows = {metric.name: flow(planned, stage, metric, wave) for metric in gate.metrics}
        yield _Step(stage, name, step, gate, flows)


def flow(planned: Planned, stage: str, metric: Metric, wave: Wave) -> Flow:
    """What canary and stable get each second of a metric's service. Raises PlanError when nobody says."""
    environment, service = planned.environment(stage), planned.plan.services[metric.service]
    share = canary_share(planned.plan, metric.service, wave)
    stated = environment.expected_requests_per_second.get(metric.service)
    if stated is None and environment.traffic is not None:
        answered = share_of(metric.service, is_queue=service.queue)
        stated = environment.traffic.requests_per_second * answered
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
    fails, passes = (
        each.reshape(len(kinds) + 1, simulation.runs) for each in _simulated(one, rates, simulation)
    )
    return Calibration(
        stage=one.stage,
        step=one.step,
        gate=one.name,
        runs=simulation.runs,
        stated_false_alarm=one.gate.false_alarm,
        false_alarms=int(np.isfinite(fails[0]).sum()),
        passes=Times.of(passes[0]),
        detections=tuple(
            Detection(metric, harm, Times.of(fails[number]), float(np.isfinite(passes[number]).mean()))
            for number, (metric, harm) in enumerate(kinds, 1)
        ),
    )


def _simulated(one: _Step, rates: Mapping[str, Floats], simulation: Simulation) -> tuple[Floats, Floats]:
    """Seconds to FAIL and to PASS of `runs` gates for each of the canary's rates, one after the other."""
    each = {metric: np.repeat(canary, simulation.runs) for metric, canary in rates.items()}
    gates = next(iter(each.values())).size
    samples = math.ceil(one.gate.deadline_seconds / one.gate.interval_seconds)
    parts = np.array_split(np.arange(gates), math.ceil(gates * samples / CELLS))
    outcomes = []
    for number, part in enumerate(parts):
        seed = [simulation.seed, number, *f"{one.stage} {one.step}".encode()]
        dice = np.random.default_rng(seed)
        histories = {
            metric: _drawn(one, metric, (canary[part], simulation.error_rate), samples, dice)
            for metric, canary in each.items()
        }
        outcomes.append(judged(one.gate, histories))
    fails, passes = (np.concatenate([o.ended(v) for o in outcomes]) for v in (Verdict.FAIL, Verdict.PASS))
    return fails, passes


def _drawn(
    one: _Step, metric: str, rates: tuple[Floats, float], samples: int, dice: np.random.Generator
) -> Arms:
    """One gate for each of the canary's rates; stable's is the same in all."""
    interval, gets = one.gate.interval_seconds, one.flows[metric]
    shape = (rates[0].size, samples)
    canary, stable = (dice.poisson(each * interval, shape) for each in (gets.canary, gets.stable))
    return Arms(canary, dice.binomial(canary, rates[0][:, None]), stable, dice.binomial(stable, rates[1]))
