"""The judge: folds samples into a verdict. Pure: state and sample in, state and decision out; time is the
sample's.

Rules, in the order in which they are asked:
1. FAIL when the mean over the metrics of the evidence against "not worse than stable" reaches 1/false_alarm.
   At any time, also in a soak. The mean of e-values is one, so the false alarm is that of the whole gate.
2. INCONCLUSIVE when an arm of a metric could not be read for longer than stale_seconds, or when the canary had
   UNCOMPARED_REQUESTS while stable, which should be beside it, had none. Missing is not zero: what stable had in a
   sample that could not be read is not known to be none, and stale_seconds bounds that.
3. PASS when minimum_seconds are over, nothing is missing, and every metric has its minimum_requests and
   evidence of 1/false_pass against "worse than tolerated". Worse than tolerated means: tolerated_odds times
   stable's rate or more, and absolute_tolerance or more. Half of the bets are on each part. So a canary
   passes by comparison with stable, and where hardly anything ever fails, by requests without errors; never
   by the absence of requests.
4. PASS in a person's name when an override holds, every arm was read in this sample, and both versions had requests
   in every metric since the warm-up. Nothing else that rule 3 asks for is asked then.
5. INCONCLUSIVE when the deadline is over.
While a person has paused the gate, 3 to 5 are not asked (`actions`).

A canary that runs alone (all traffic, soak) is compared with what is recorded of stable: against "rate <= u"
and "rate >= max(tolerated_odds * l, absolute_tolerance)", where l and u bound the recorded rate. The bounds
take half of false_alarm (in equal parts for the metrics that run alone) and of false_pass, the bets the other
half, so the stated probabilities hold jointly as long as stable's rate is still the recorded one. Where
nothing is recorded, the absolute tolerance stands for both. Where it is recorded by time of day, each interval or block
has the bounds of its own hours (`hours`), and the probabilities hold as said there.

What a plan says of noise decides the unit of all this: the interval between two samples, or the block of time
(`comparison`); a metric that says it of itself has its own. What is worse depends on what is counted (`kinds`). An
interval in which only one arm had requests is joined to the next one. What came in the warm-up is not
judged. Replaying the same samples gives the same decision, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from roundtrip.errors import GateError
from roundtrip.gates.actions import Actions
from roundtrip.gates.comparison import (
    Alone,
    AloneInBursts,
    Compared,
    ComparedInBursts,
    Growth,
    MetricState,
    Rule,
)
from roundtrip.gates.eprocess import log_mean
from roundtrip.gates.evidence import (
    ARMS,
    MAX_EVIDENCE,
    Arm,
    Baseline,
    Cause,
    Decision,
    MetricEvidence,
    Sample,
    Verdict,
    unread,
)
from roundtrip.gates.figure import figure
from roundtrip.gates.hours import Beside
from roundtrip.gates.kinds import amount, faced, is_of_requests, minimum, told, unit
from roundtrip.plan.model import Gate, Kind, Metric

UNCOMPARED_REQUESTS = 1000
"""Even where stable has 1 % of the traffic, it misses so many in a row once in 20,000 times."""


@dataclass(frozen=True)
class State:
    """All that a judge remembers between samples."""

    metrics: Mapping[str, MetricState]
    began: datetime | None = None
    previous: Sample | None = None
    seen: Mapping[str, datetime] = field(default_factory=dict)
    """`arm/metric` -> when it was last read"""
    actions: Actions = field(default_factory=Actions)


class Judge:
    """Judges one gate. `baselines` names the metrics whose canary runs alone, and what is recorded of stable."""

    def __init__(self, gate: Gate, baselines: Mapping[str, Baseline] | None = None) -> None:
        self._gate = gate
        self._alone = dict(baselines or {})
        self._beside = {name: Beside(one) for name, one in self._alone.items()}
        unknown = sorted(set(self._alone) - {metric.name for metric in gate.metrics})
        if unknown:
            raise RuntimeError(f"baselines for metrics that the gate does not have: {unknown}")
        if gate.minimum_seconds + gate.interval_seconds > gate.deadline_seconds:
            raise GateError(
                f"deadline_seconds {gate.deadline_seconds:g} leaves no sample after minimum_seconds "
                f"{gate.minimum_seconds:g} at an interval of {gate.interval_seconds:g}",
                remedy="lengthen the deadline",
            )
        self._rules = {metric.name: self._rule(metric) for metric in gate.metrics}
        self._kinds: Mapping[str, Kind] = {metric.name: metric.kind for metric in gate.metrics}
        share = 2 if self._alone else 1
        self._log_fail = math.log(share / gate.false_alarm)

    def start(self) -> State:
        """Before the first sample."""
        return State({name: rule.start() for name, rule in self._rules.items()})

    def fold(self, state: State, sample: Sample | None, now: datetime) -> tuple[State, Decision]:
        """`state` with `sample`, and what follows from it at `now`; None when there is no new sample."""
        if sample is not None:
            state = self._with(state, sample)
        if state.began is None or state.previous is None:
            return state, Decision(None, "no sample yet")
        return state, self._decide(state, state.began, state.previous, now)

    def _with(self, state: State, sample: Sample) -> State:
        before = state.previous
        began = state.began or sample.at
        seen = {
            **state.seen,
            **{column: sample.at for column in self._columns() if column not in sample.missing},
        }
        metrics = state.metrics
        if before is not None and (before.at - began).total_seconds() >= self._gate.warm_up_seconds:
            begins, ends = ((one.at - began).total_seconds() for one in (before, sample))
            metrics = {
                name: self._rules[name].grown(
                    one,
                    Growth(
                        begins,
                        ends,
                        *faced(
                            self._kinds[name],
                            sample.canary[name] - before.canary[name],
                            sample.stable[name] - before.stable[name],
                        ),
                        began=began,
                    ),
                )
                for name, one in metrics.items()
            }
        return State(metrics, began, sample, seen, state.actions.heard(sample.actions, sample.at))

    def _decide(self, state: State, began: datetime, sample: Sample, now: datetime) -> Decision:
        metrics = {
            name: self._evidence(name, one, self._recorded(name, state))
            for name, one in state.metrics.items()
        }
        elapsed = (max(now, sample.at) - began).total_seconds()

        def decided(verdict: Verdict | None, reason: str) -> Decision:
            return Decision(verdict, reason, metrics)

        logs = {name: self._rules[name].log_against(one) for name, one in state.metrics.items()}
        mean = log_mean(list(logs.values()))
        if mean >= self._log_fail:
            worst = max(logs, key=logs.__getitem__)
            return decided(
                Verdict.FAIL,
                f"{self._sentence(worst, metrics[worst], state)}; {self._against_gate(mean)}, after {elapsed:.0f} s",
            )
        stale = self._stale(state, sample, began, now)
        if stale:
            return decided(Verdict.INCONCLUSIVE, stale)
        for name, one in state.metrics.items():
            waiting = self._waiting(name, one)
            if waiting >= UNCOMPARED_REQUESTS and f"stable/{name}" not in sample.missing:
                return decided(
                    Verdict.INCONCLUSIVE,
                    Cause.NO_TRAFFIC.says(
                        f"{name}: {waiting} requests to the canary and none to stable meanwhile"
                    ),
                )
        return self._ending(state, metrics, sample, elapsed, max(now, sample.at))

    def _ending(
        self,
        state: State,
        metrics: Mapping[str, MetricEvidence],
        sample: Sample,
        elapsed: float,
        at: datetime,
    ) -> Decision:
        """Rules 3 to 5, and what people asked."""
        lacking = self._lacking(state, metrics, sample, elapsed)
        pause, override = state.actions.pause(at), state.actions.override(at)
        if pause is not None:
            return Decision(None, "; ".join([f"paused by {pause.by}", *lacking]), metrics)
        if not lacking:
            each = "; ".join(self._sentence(name, one, state) for name, one in metrics.items())
            return Decision(Verdict.PASS, f"{each}; after {elapsed:.0f} s", metrics)
        silent = any(self._is_silent(name, one) for name, one in metrics.items())
        if override is not None and not silent and not sample.missing.keys() & set(self._columns()):
            reason = f"overridden by {override.by}: {override.reason}; the evidence had not decided: "
            reason += f"{'; '.join(lacking)}; after {elapsed:.0f} s"
            return Decision(Verdict.PASS, reason, metrics, override)
        deadline = self._gate.deadline_seconds
        deadline += state.actions.added_seconds(deadline, at)
        if elapsed >= deadline:
            cause = Cause.NO_TRAFFIC if silent else Cause.UNDECIDED
            reason = cause.says(f"not decided within {deadline:g} s: {'; '.join(lacking)}")
            return Decision(Verdict.INCONCLUSIVE, reason, metrics)
        if override is not None:
            lacking.append("the override waits until both versions are counted in every metric")
        return Decision(None, "; ".join(lacking), metrics)

    def _stale(self, state: State, sample: Sample, began: datetime, now: datetime) -> str:
        for column in self._columns():
            last = max(state.seen.get(column, began), sample.since)
            silent = (max(now, sample.at) - last).total_seconds()
            if silent > self._gate.stale_seconds:
                return unread(column, silent, self._gate.stale_seconds, sample.missing.get(column))
        return ""

    def _lacking(
        self, state: State, metrics: Mapping[str, MetricEvidence], sample: Sample, elapsed: float
    ) -> list[str]:
        """What PASS lacks, each as a sentence; empty means PASS (rule 3)."""
        gate, lacking = self._gate, []
        for name, one in metrics.items():
            kind = self._kinds[name]
            there, wanted = amount(kind, one.canary), minimum(kind, gate)
            if there < wanted:
                lacking.append(f"{name}: {there} of {wanted} canary {unit(kind)}")
            waiting = self._waiting(name, state.metrics[name])
            if waiting:
                lacking.append(f"{name}: {waiting} canary requests wait for one to stable to compare with")
            if not self._rules[name].log_for(state.metrics[name]) >= math.log(one.for_needed):
                lacking.append(f"{name}: evidence for {figure(one.evidence_for)} of {figure(one.for_needed)}")
        lacking += [
            f"{column} is missing: {sample.missing[column]}"
            for column in self._columns()
            if column in sample.missing
        ]
        if elapsed < gate.minimum_seconds:
            lacking.append(f"{elapsed:.0f} of {gate.minimum_seconds:g} s")
        return lacking

    def _waiting(self, name: str, one: MetricState) -> int:
        """Canary requests without one to stable beside them."""
        return one.uncompared if name not in self._alone and is_of_requests(self._kinds[name]) else 0

    def _is_silent(self, name: str, one: MetricEvidence) -> bool:
        kind = self._kinds[name]
        arms = (one.canary,) if name in self._alone else (one.canary, one.stable)
        return any(amount(kind, counts) == 0 for counts in arms)

    def _columns(self) -> list[str]:
        """The arms of the metrics that have to be read: stable's only where it is compared with."""
        return [f"{arm}/{name}" for name in self._rules for arm in ARMS if self._needs(arm, name)]

    def _needs(self, arm: Arm, name: str) -> bool:
        return arm == "canary" or name not in self._alone

    def _rule(self, metric: Metric) -> Rule:
        gate, baseline = self._gate.of(metric), self._alone.get(metric.name)
        if baseline is None:
            compared = Compared if gate.noise == "independent-requests" else ComparedInBursts
            return compared(metric, gate, gate.false_pass)
        alone = Alone if gate.noise == "independent-requests" else AloneInBursts
        share = gate.false_alarm / (2 * len(self._alone))
        return alone(metric, gate, gate.false_pass / 2, baseline, share)

    def _evidence(self, name: str, one: MetricState, baseline: Baseline | None) -> MetricEvidence:
        rule = self._rules[name]
        canary, stable = faced(self._kinds[name], one.canary, one.stable)
        return MetricEvidence(
            canary=canary,
            stable=baseline.counts if baseline else stable,
            evidence_against=_shown(rule.log_against(one)),
            against_needed=len(self._rules) * math.exp(self._log_fail),
            evidence_for=_shown(rule.log_for(one)),
            for_needed=1 / rule.false_pass,
            kind=self._kinds[name],
        )

    def _recorded(self, name: str, state: State) -> Baseline | None:
        """What is recorded of stable for the time that was judged; None where stable is beside the canary."""
        if name not in self._beside or state.began is None or state.previous is None:
            return None
        return self._beside[name].over(state.began, state.previous.at)

    def _against_gate(self, mean: float) -> str:
        """The sum of it: a single metric's evidence has a limit of its own, so it is said that this is not one's."""
        of = f" (mean of {len(self._rules)} metrics)" if len(self._rules) > 1 else ""
        return (
            f"evidence against the gate {figure(_shown(mean))}{of}, limit {figure(math.exp(self._log_fail))}"
        )

    def _sentence(self, name: str, one: MetricEvidence, state: State) -> str:
        kind = self._kinds[name]
        beside = self._recorded(name, state) or f"stable {told(kind, one.stable)}"
        return f"{name}: canary {told(kind, one.canary)}, {beside}"


def _shown(log: float) -> float:
    return min(MAX_EVIDENCE, math.exp(min(log, 700.0)))
