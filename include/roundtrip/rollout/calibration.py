"""Calibration: what the gates of a plan would do, simulated on the traffic that its environments state.

Rules:
1. Gates are those that a release would get: the plan's, with what the environment changes in them.
2. Each interval's requests are Poisson, bad ones binomial, finished orders of a throughput Poisson too; healthy means that
   both versions are bad at the same rate, harmful that one metric of the canary is at another and all others are healthy.
3. A canary that runs alone is compared with what gates before it counted of stable. Each simulated one is given what
   the healthy gates before it counted until they passed, drawn anew from those; its own canary turns bad after them.
4. Where a plan says that errors come in bursts they do (`gates.bursts`), in each metric and version for itself.
5. The same seed gives the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from roundtrip.errors import PlanError
from roundtrip.gates import bursts
from roundtrip.gates.evidence import Verdict
from roundtrip.gates.history import judged
from roundtrip.gates.many import Arms, Floats, Ints, Recorded
from roundtrip.gates.recorded import measurement
from roundtrip.gates.summary import Times, wilson
from roundtrip.plan.model import Gate, Metric
from roundtrip.rollout.decidable import gates_of
from roundtrip.rollout.expected_traffic import Flow, expected_flow
from roundtrip.rollout.figures import Calibration, Detection, Ends, NotSimulated, Simulation
from roundtrip.rollout.gate_settings import Planned, settings
from roundtrip.rollout.stored_figures import valid_for

HARMS = (0.01, 0.02, 0.05, 0.2, 0.5)
"""bad requests of the canary, as a share of its requests; of a throughput the work that it does not do"""
PROCESS_TIME = 3000.0
"""of both versions together, milliseconds each second; only its division between them counts"""
CELLS = 2**21
"""intervals of all gates that are drawn at once; bounds the memory"""
MOST_SAMPLES = 20_000
"""of one gate; a longer one takes too long to simulate"""


@dataclass(frozen=True)
class Passed:
    """What healthy gates of one step counted of stable until they passed."""

    counts: Mapping[tuple[object, ...], Sequence[Recorded]]
    """by what is measured, of each metric that measures it; one number for each gate that passed"""
    gates: int


@dataclass(frozen=True)
class _Step:
    stage: str
    name: str
    step: str
    gate: Gate
    flows: Mapping[str, Flow]
    valid_for: str

    @property
    def samples(self) -> int:
        return math.ceil(self.gate.deadline_seconds / self.gate.interval_seconds)

    @property
    def alone(self) -> tuple[str, ...]:
        """Metrics whose canary has no stable version beside it."""
        return tuple(name for name, flow in self.flows.items() if not flow.stable)

    def is_measured(self, passed: Passed) -> bool:
        return any(self.measures(name) in passed.counts for name in self.alone)

    def metric(self, name: str) -> Metric:
        return next(one for one in self.gate.metrics if one.name == name)

    def measures(self, metric: str) -> tuple[object, ...]:
        return measurement(self.metric(metric))


def calibrations(planned: Planned, simulation: Simulation) -> Iterator[Calibration | NotSimulated]:
    """Each gate in the order of a release. Raises PlanError when an environment states no traffic, GateError."""
    before: dict[str, list[Passed | None]] = {}
    for one in _steps(planned):
        earlier = before.setdefault(one.stage, [])
        why = _not_simulated(one, earlier)
        if why:
            earlier.append(None)
            yield NotSimulated(stage=one.stage, step=one.step, why=why)
            continue
        calibration, passed = _calibrated(one, [each for each in earlier if each], simulation)
        earlier.append(passed)
        yield calibration


def _steps(planned: Planned) -> Iterator[_Step]:
    for stage, name, step, wave in gates_of(planned.plan):
        gate, flows = settings(planned, stage, name), {}
        for metric in gate.metrics:
            flow = expected_flow(planned, stage, metric.service, wave)
            if flow is None or not flow.canary + flow.stable:
                raise PlanError(
                    f"expected the requests/s that {metric.service} gets, got none",
                    where=planned.environment(stage).name,
                    remedy="state expected_requests_per_second in the environment",
                )
            flows[metric.name] = flow
        yield _Step(stage, name, step, gate, flows, valid_for(planned, stage, step) or "")


def _not_simulated(one: _Step, earlier: Sequence[Passed | None]) -> str:
    """Why; empty when it can be simulated."""
    if one.samples > MOST_SAMPLES:
        return f"{one.samples} samples a gate, at most {MOST_SAMPLES} are simulated"
    if one.alone and None in earlier:
        return "what a gate before it records of stable is not simulated"
    if any(one.is_measured(each) and not each.gates for each in earlier if each):
        return "no healthy version passes the gates before it, so there is nothing recorded to compare with"
    return ""


def _calibrated(one: _Step, earlier: Sequence[Passed], simulation: Simulation) -> tuple[Calibration, Passed]:
    kinds = [(metric, harm) for metric in one.flows for harm in HARMS]
    rates = {
        metric.name: np.full(len(kinds) + 1, 0.0 if metric.kind == "throughput" else simulation.error_rate)
        for metric in one.gate.metrics
    }
    for number, (metric, harm) in enumerate(kinds, 1):
        rates[metric][number] = harm
    ended = _simulated(one, rates, earlier, simulation)
    fails, passes = (each.reshape(len(kinds) + 1, simulation.runs) for each in (ended.fails, ended.passes))
    false_alarms = int(np.isfinite(fails[0]).sum())
    calibration = Calibration(
        stage=one.stage,
        step=one.step,
        gate=one.name,
        valid_for=one.valid_for,
        alone=one.alone,
        runs=simulation.runs,
        stated_false_alarm=one.gate.false_alarm,
        false_alarms=false_alarms,
        false_alarm_interval=wilson(false_alarms, simulation.runs),
        passes=_ends(passes[0]),
        detections=tuple(
            Detection(
                metric=metric,
                bad_share=harm,
                fails=_ends(fails[number]),
                passed_share=float(np.isfinite(passes[number]).mean()),
            )
            for number, (metric, harm) in enumerate(kinds, 1)
        ),
    )
    return calibration, ended.passed


def _ends(seconds: Floats) -> Ends:
    return Ends.model_validate(Times.of(seconds).to_json())


@dataclass(frozen=True)
class _Ended:
    fails: Floats
    """seconds to FAIL of each gate; infinite: it ended otherwise"""
    passes: Floats
    passed: Passed
    """of the healthy ones"""


def _simulated(
    one: _Step, rates: Mapping[str, Floats], earlier: Sequence[Passed], simulation: Simulation
) -> _Ended:
    """`runs` gates for each of the canary's rates, one after the other; the first ones are healthy."""
    each = {metric: np.repeat(canary, simulation.runs) for metric, canary in rates.items()}
    gates = next(iter(each.values())).size
    parts = np.array_split(np.arange(gates), math.ceil(gates * one.samples / CELLS))
    fails, passes, counted = [], [], []
    for number, part in enumerate(parts):
        dice = np.random.default_rng([simulation.seed, number, *f"{one.stage} {one.step}".encode()])
        histories = {
            metric: _drawn(one, metric, (canary[part], simulation.error_rate), dice)
            for metric, canary in each.items()
        }
        recorded = _recorded(one, earlier, part.size, dice)
        outcomes = judged(one.gate, histories, recorded, to_first_verdict=True)
        fails.append(outcomes.ended(Verdict.FAIL))
        passes.append(outcomes.ended(Verdict.PASS))
        counted.append(_counted(one, histories, np.where(part < simulation.runs, passes[-1], math.inf)))
    return _Ended(np.concatenate(fails), np.concatenate(passes), _passed(one, counted))


def _drawn(one: _Step, metric: str, rates: tuple[Floats, float], dice: np.random.Generator) -> Arms:
    """One gate for each of the canary's rates; stable's is the same in all."""
    interval, gets, shape = one.gate.interval_seconds, one.flows[metric], (rates[0].size, one.samples)
    kind = one.metric(metric).kind
    of_canary, of_stable = _factors(one, metric, shape, dice)
    if kind == "throughput":
        return _worked(gets, interval, ((1 - rates[0][:, None]) * of_canary, of_stable), shape, dice)
    if kind == "gauge":
        canary, stable = (np.full(shape, int(each > 0)) for each in (gets.canary, gets.stable))
    else:
        canary, stable = (dice.poisson(each * interval, shape) for each in (gets.canary, gets.stable))
    return Arms(
        canary,
        dice.binomial(canary, np.minimum(1.0, rates[0][:, None] * of_canary)),
        stable,
        dice.binomial(stable, np.minimum(1.0, rates[1] * of_stable)),
    )


def _worked(
    gets: Flow,
    interval: float,
    factors: tuple[Floats, Floats],
    shape: tuple[int, int],
    dice: np.random.Generator,
) -> Arms:
    """Time of the processes, and what they finish of a queue: a version has the share of time that it has of the work."""
    canary, stable = (each / (gets.canary + gets.stable) for each in (gets.canary, gets.stable))
    return Arms(
        np.full(shape, round(canary * interval * PROCESS_TIME)),
        dice.poisson(gets.canary * interval * factors[0], shape),
        np.full(shape, round(stable * interval * PROCESS_TIME)),
        dice.poisson(gets.stable * interval * factors[1], shape),
    )


def _factors(
    one: _Step, metric: str, shape: tuple[int, int], dice: np.random.Generator
) -> tuple[Floats, Floats]:
    """Of the canary's and of stable's rates in each interval."""
    gate = one.gate.of(one.metric(metric))
    if gate.burst_seconds is None:
        return np.ones((1, 1)), np.ones((1, 1))
    begins: Floats = np.arange(shape[1], dtype=np.float64) * gate.interval_seconds
    canary, stable = (bursts.drawn(shape[0], begins, gate.burst_seconds, dice) for _ in range(2))
    beside = stable if one.flows[metric].stable else np.ones((1, 1))
    ratio = gate.burst_ratio
    return bursts.held(canary, beside, ratio), bursts.held(stable, canary, ratio)


def _recorded(
    one: _Step, earlier: Sequence[Passed], gates: int, dice: np.random.Generator
) -> dict[str, Recorded]:
    """What is recorded of stable for each metric that runs alone: of each step before, one gate's counts."""
    found = {metric: np.zeros((2, gates), dtype=np.int64) for metric in one.alone}
    for passed in earlier:
        if not one.is_measured(passed):
            continue
        chosen = dice.integers(0, passed.gates, gates)
        for metric in one.alone:
            for counts in passed.counts.get(one.measures(metric), ()):
                found[metric] += np.stack([counts.total[chosen], counts.bad[chosen]])
    return {metric: Recorded(*sums) for metric, sums in found.items()}


def _counted(one: _Step, histories: Mapping[str, Arms], passes: Floats) -> dict[str, Recorded]:
    """Stable's counts until PASS, by metric that has stable beside it, of the gates with a finite time to it."""
    rows = np.nonzero(np.isfinite(passes))[0]
    last = np.rint(passes[rows] / one.gate.interval_seconds).astype(np.int64) - 1

    def until(counts: Ints) -> Ints:
        return np.cumsum(counts[rows], axis=1)[np.arange(rows.size), last]

    return {
        metric: Recorded(until(arms.stable), until(arms.stable_bad))
        for metric, arms in histories.items()
        if metric not in one.alone and one.metric(metric).kind != "gauge"
    }


def _passed(one: _Step, parts: Sequence[Mapping[str, Recorded]]) -> Passed:
    counts: dict[tuple[object, ...], list[Recorded]] = {}
    gates = 0
    for metric in parts[0]:
        total = np.concatenate([part[metric].total for part in parts])
        bad = np.concatenate([part[metric].bad for part in parts])
        counts.setdefault(one.measures(metric), []).append(Recorded(total, bad))
        gates = total.size
    return Passed(counts, gates)
