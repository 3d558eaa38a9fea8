"""Guard rails: absolute limits beside the comparison. Pure, as the judge is.

Rules, asked before and after the judge's own:
1. FAIL at once when any process of the canary's version shows more than at_most: one event is enough, in the warm-up
   too, and whatever stable shows. A counter is what it shows since its process began, not since the gate did. Of source
   error-tracking the value is the number of kinds of error that only the canary's version has (`error_tracking`).
2. The judge's FAIL stands.
3. INCONCLUSIVE when a guard rail could not be read for longer than stale_seconds.
4. Nothing passes on a sample in which a guard rail could not be read, whatever a person asked of the comparison.

What counts as an event is the plan's: a duplicate delivery that idempotent handling caught is no duplicate fill, so a
guard rail names a series that counts fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import Baseline, Cause, Decision, Sample, Verdict, unread
from roundtrip.gates.figure import figure
from roundtrip.gates.page import Page
from roundtrip.gates.sequential import Judge, State
from roundtrip.plan.model import Gate, GuardRail


def column(rail: GuardRail) -> str:
    """How `missing` names a guard rail."""
    return f"guard-rail/{rail.name}"


def shown(page: Page | EvidenceError, rail: GuardRail) -> float:
    """The largest value of the series on one process's page. Raises EvidenceError when there is none, or no number."""
    if isinstance(page, EvidenceError):
        raise page
    if rail.series is None:
        raise RuntimeError(f"guard rail {rail.name} names no series")
    remedy = f"let {rail.service} show it, or mend guard rail {rail.name}"
    return page.largest(rail.series, remedy=remedy)


@dataclass(frozen=True)
class GuardedState:
    """All that is remembered between samples."""

    judge: State
    seen: Mapping[str, datetime] = field(default_factory=dict)
    """guard rail -> when it was last read"""

    @property
    def began(self) -> datetime | None:
        return self.judge.began

    @property
    def previous(self) -> Sample | None:
        return self.judge.previous


class Guarded:
    """A judge with the gate's guard rails beside it; folds as the judge does."""

    def __init__(self, gate: Gate, baselines: Mapping[str, Baseline] | None = None) -> None:
        self._gate = gate
        self._judge = Judge(gate, baselines)

    def start(self) -> GuardedState:
        """Before the first sample."""
        return GuardedState(self._judge.start())

    def fold(
        self, state: GuardedState, sample: Sample | None, now: datetime
    ) -> tuple[GuardedState, Decision]:
        """`state` with `sample`, and what follows from it at `now`; None when there is no new sample."""
        judge, decision = self._judge.fold(state.judge, sample, now)
        seen = dict(state.seen)
        if sample is not None:
            seen |= {
                rail.name: sample.at for rail in self._gate.guard_rails if rail.name in sample.guard_rails
            }
        state = GuardedState(judge, seen)
        if state.began is None or state.previous is None:
            return state, decision
        return state, self._decide(state, state.began, state.previous, now, decision)

    def _decide(
        self, state: GuardedState, began: datetime, sample: Sample, now: datetime, judged: Decision
    ) -> Decision:
        breaches = [
            _breach(rail, sample)
            for rail in self._gate.guard_rails
            if rail.name in sample.guard_rails and not sample.guard_rails[rail.name] <= rail.at_most
        ]
        if breaches:
            elapsed = (max(now, sample.at) - began).total_seconds()
            reason = f"{'; '.join(breaches)}; after {elapsed:.0f} s"
            return replace(judged, verdict=Verdict.FAIL, reason=reason, overridden=None)
        if judged.verdict is Verdict.FAIL:
            return judged
        stale = self._stale(state, began, sample, now)
        if stale:
            return replace(judged, verdict=Verdict.INCONCLUSIVE, reason=stale, overridden=None)
        unreadable = [rail for rail in self._gate.guard_rails if rail.name not in sample.guard_rails]
        if unreadable and judged.verdict in (Verdict.PASS, None):
            each = "; ".join(f"{column(rail)} is missing: {_why(sample, rail)}" for rail in unreadable)
            waits = each if judged.verdict is Verdict.PASS else f"{judged.reason}; {each}"
            return replace(judged, verdict=None, reason=waits, overridden=None)
        return judged

    def _stale(self, state: GuardedState, began: datetime, sample: Sample, now: datetime) -> str:
        for rail in self._gate.guard_rails:
            last = max(state.seen.get(rail.name, began), sample.since)
            silent = (max(now, sample.at) - last).total_seconds()
            if silent > self._gate.stale_seconds:
                return unread(
                    column(rail), silent, self._gate.stale_seconds, sample.missing.get(column(rail))
                )
        return ""


def _breach(rail: GuardRail, sample: Sample) -> str:
    value = f"{figure(sample.guard_rails[rail.name], 6)}, limit {figure(rail.at_most, 6)}"
    if rail.source == "services":
        return f"guard rail {rail.name}: {rail.service} shows {rail.series} {value}"
    kinds = ", ".join(sample.new_errors.get(rail.name, ()))
    return f"guard rail {rail.name}: {rail.service} reports new kinds of error: {value}: {kinds}"


def _why(sample: Sample, rail: GuardRail) -> str:
    return sample.missing.get(column(rail), Cause.UNREADABLE.says("no source reads it"))
