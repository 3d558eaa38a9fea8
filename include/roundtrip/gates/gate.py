"""The gate: takes samples, has them judged, and carries the verdict out. The rim; every rule about evidence
is in `sequential` and `guard_rails`.

Rules:
1. A sample is in the ledger before it is judged, and what is judged is what the ledger gave back. So a gate
   that is killed goes on from its samples, and two watchers of one gate see the same evidence and come to one
   verdict.
2. The gate that was started is the gate that is judged: its settings and baselines are in `gate.started`.
3. On FAIL the canary's traffic is pulled before the verdict is recorded; a pull that fails is part of the
   reason and does not stop the verdict.
4. A verdict that is in the ledger is final: it is returned, and nothing is done again.
5. What a person asks of the gate (`actions`) is heard with the next sample, recorded with it, and told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from roundtrip.errors import RoundtripError
from roundtrip.gates import turns
from roundtrip.gates.actions import GateAction, asked
from roundtrip.gates.evidence import Baseline, Decision, MetricEvidence, Sample, Verdict
from roundtrip.gates.figure import figure
from roundtrip.gates.fold import Totals, absorb, counters_from_json, merged
from roundtrip.gates.guard_rails import Guarded
from roundtrip.gates.kinds import told
from roundtrip.gates.needs import Need, sentence
from roundtrip.gates.reading import Source
from roundtrip.ledger.ledger import Event, Ledger, utc_now
from roundtrip.plan.model import Gate

SAY_SECONDS = 5.0
"""How often a person reading the task's log hears how the gate stands."""

Pull = Callable[[str], Awaitable[None]]
"""Takes all traffic from the canary, for the reason given. Safe to call twice."""

Say = Callable[[str], None]

Alive = Callable[[], Awaitable[None]]
"""Told before each sample that the gate is watched. May raise RoundtripError: the gate has nothing to judge any more."""


@dataclass(frozen=True)
class GateSetup:
    """One gate of one release."""

    release: str
    gate_id: str
    """unique in the release"""
    environment: str
    canary: str
    """version"""
    stable: str
    gate: Gate
    """the plan's gate, with what the environment changes in it; a soak is its minimum_seconds"""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """of the metrics whose canary runs alone (`recorded.baselines`)"""
    needs: Mapping[str, Need] = field(default_factory=dict)
    """by metric; empty when nobody knows the canary's share"""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """what was simulated of this gate, as plain JSON (`rollout.stored_figures`); advises, decides nothing"""


async def run_gate(
    setup: GateSetup,
    ledger: Ledger,
    sources: Sequence[Source],
    *,
    pull: Pull,
    say: Say = lambda _: None,
    alive: Alive | None = None,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Decision:
    """The gate's decision; its verdict is never None. Raises GateError, LedgerError."""
    async with turns.opening():
        there = await asyncio.to_thread(recorded_verdict, ledger, setup.release, setup.gate_id)
        if there is not None:
            say(f"{setup.gate_id}: decided before: {there.reason}")
            return there
        watch = await asyncio.to_thread(_Watch.resume, setup, ledger, clock())
    if setup.needs:
        say(f"{setup.gate_id}: {sentence(watch.gate, setup.needs)}")
    for name, baseline in setup.baselines.items():
        say(f"{setup.gate_id}: {name}: the canary runs alone; {_beside(baseline)}")
    said_at: datetime | None = None
    while watch.decision.verdict is None:
        async with turns.sampling():
            if alive is not None:
                await alive()
            began = clock()
            heard = await watch.take(sources, began)
        for action in heard:
            say(f"{setup.gate_id}: {action.sentence()}")
        if heard or said_at is None or (began - said_at).total_seconds() >= SAY_SECONDS:
            say(watch.sentence())
            said_at = began
        if watch.decision.verdict is None:
            spent = (clock() - began).total_seconds()
            await sleep(max(0.0, watch.gate.interval_seconds - max(0.0, spent)))
    decision = watch.decision
    if decision.verdict is Verdict.FAIL:
        decision = await _pulled(decision, pull, say)
    decision = await asyncio.to_thread(watch.record, decision)
    say(f"{setup.gate_id}: {decision.verdict.name if decision.verdict else ''}: {decision.reason}")
    return decision


def recorded_verdict(ledger: Ledger, release: str, gate_id: str) -> Decision | None:
    """The gate's verdict in the ledger; None while there is none."""
    event = ledger.last(release, "gate.verdict", gate_id)
    return _decision(event) if event else None


def samples(ledger: Ledger, release: str, gate_id: str) -> list[Event]:
    """The gate's `gate.sample` events in the order of their numbers."""
    events = [event for event in ledger.events(release, kind="gate.sample") if _gate_of(event) == gate_id]
    return sorted(events, key=lambda event: int(event.data["number"]))


def _gate_of(event: Event) -> str:
    return (event.key or "").rpartition("#")[0]


async def _pulled(decision: Decision, pull: Pull, say: Say) -> Decision:
    try:
        await pull(decision.reason)
    except RoundtripError as error:
        say(f"the canary's traffic could not be pulled: {error}")
        reason = f"{decision.reason}; the canary's traffic could not be pulled: {error}"
        return Decision(decision.verdict, reason, decision.metrics)
    say("the canary's traffic is pulled")
    return decision


class _Watch:
    """One watcher of one gate, from its first sample or from the last one that is recorded."""

    def __init__(self, setup: GateSetup, ledger: Ledger, started: Event, since: datetime) -> None:
        self.gate = Gate.model_validate(started.data["gate"])
        self.decision = Decision(None, "no sample yet")
        self._setup = setup
        self._ledger = ledger
        self._started = started.seq
        self._since = since
        self._judge = Guarded(
            self.gate,
            {name: Baseline.from_json(one) for name, one in started.data["baselines"].items()},
        )
        self._state = self._judge.start()
        self._totals: Totals | None = None

    @classmethod
    def resume(cls, setup: GateSetup, ledger: Ledger, now: datetime) -> _Watch:
        """Begins the gate, or goes on where its samples end."""
        Guarded(setup.gate, setup.baselines)  # a gate that cannot be judged is refused before it is started
        started = ledger.append_once(setup.release, "gate.started", setup.gate_id, _started(setup))
        watch = cls(setup, ledger, started, now)
        for event in samples(ledger, setup.release, setup.gate_id):
            watch._fold(event)
            if watch.decision.verdict is not None:
                break
        return watch

    async def take(self, sources: Sequence[Source], now: datetime) -> tuple[GateAction, ...]:
        """One sample: read, recorded, judged; returns what people asked since the one before."""
        previous = self._state.previous
        at = max(now, previous.at) if previous else now
        scrapes = await asyncio.gather(*(source.read(at) for source in sources))
        scrape = merged(at, scrapes)
        totals = absorb(self._totals, scrape)
        names = [metric.name for metric in self.gate.metrics]
        sample = Sample(
            number=previous.number + 1 if previous else 0,
            at=at,
            since=self._since,
            canary=totals.of("canary", names),
            stable=totals.of("stable", names),
            missing=totals.missing,
            guard_rails=scrape.guard_rails,
            new_errors=scrape.new_errors,
        )
        event = await asyncio.to_thread(self._append, sample, totals)
        self._fold(event)
        return self._state.previous.actions if self._state.previous else ()

    def _append(self, sample: Sample, totals: Totals) -> Event:
        """The sample as the ledger has it, with what people asked since the one before."""
        release, gate_id = self._setup.release, self._setup.gate_id
        after = max(self._started, self._state.judge.actions.newest)
        sample = replace(sample, actions=asked(self._ledger, release, gate_id, after=after))
        data = {**sample.to_json(), "counters": totals.to_json()}
        return self._ledger.append_once(release, "gate.sample", f"{gate_id}#{sample.number}", data)

    def record(self, decision: Decision) -> Decision:
        """The verdict as the ledger has it: this one, or one that another watcher recorded before."""
        if decision.verdict is None or self._state.began is None or self._state.previous is None:
            raise RuntimeError("a gate without a verdict cannot be recorded")
        data = {
            "verdict": decision.verdict.name,
            "reason": decision.reason,
            "cause": decision.cause.value if decision.cause else None,
            "overridden": decision.overridden.to_json() if decision.overridden else None,
            "metrics": {name: one.to_json() for name, one in decision.metrics.items()},
            "guard_rails": dict(self._state.previous.guard_rails),
            "seconds": (self._state.previous.at - self._state.began).total_seconds(),
            "samples": self._state.previous.number + 1,
            "environment": self._setup.environment,
        }
        return _decision(
            self._ledger.append_once(self._setup.release, "gate.verdict", self._setup.gate_id, data)
        )

    def sentence(self) -> str:
        """What people asked, how it stands, what is enough already, what it waits for, and until when at the latest."""
        metrics = self.decision.metrics
        open_ = {name: one for name, one in metrics.items() if one.evidence_for < one.for_needed}
        enough = [
            f"{name} (canary {told(one.kind, one.canary)}, evidence against {_of(one.evidence_against, one.against_needed)})"
            for name, one in metrics.items()
            if name not in open_
        ]
        # A line may be cut where it is shown: what is nearest to a FAIL comes first.
        worst_first = sorted(
            open_.items(), key=lambda item: -item[1].evidence_against / item[1].against_needed
        )
        parts = [
            f"{name}: canary {told(one.kind, one.canary)}, stable {told(one.kind, one.stable)}, "
            f"evidence for {_of(one.evidence_for, one.for_needed)}, "
            f"against {_of(one.evidence_against, one.against_needed)}"
            for name, one in worst_first
        ]
        parts += [f"enough for {', '.join(enough)}"] if enough else []
        parts += [*self._rails(), f"waits for: {self.decision.reason}", *self._left()]
        return f"{self._setup.gate_id}: {'; '.join([*self._asked(), *parts])}"

    def _asked(self) -> list[str]:
        """What people asked and still holds."""
        if self._state.previous is None:
            return []
        actions, at = self._state.judge.actions, self._state.previous.at
        holding = (actions.pause(at), *actions.extensions(), actions.override(at))
        return [one.sentence() for one in holding if one is not None]

    def _rails(self) -> list[str]:
        shown = self._state.previous.guard_rails if self._state.previous else {}
        return [
            f"guard rail {rail.name} {figure(shown[rail.name], 6)} of at most {figure(rail.at_most, 6)}"
            for rail in self.gate.guard_rails
            if rail.name in shown
        ]

    def _left(self) -> list[str]:
        if self._state.began is None or self._state.previous is None:
            return []
        actions, at, deadline = self._state.judge.actions, self._state.previous.at, self.gate.deadline_seconds
        end = self._state.began + timedelta(seconds=deadline + actions.added_seconds(deadline, at))
        left = f"{max(0.0, (end - at).total_seconds()):.0f} s"
        return [f"decides within {left}" + (" of not being paused" if actions.pause(at) else "")]

    def _fold(self, event: Event) -> None:
        sample = Sample.from_json(event.data)
        self._state, self.decision = self._judge.fold(self._state, sample, sample.at)
        began = self._state.began or sample.at
        counts = {f"canary/{name}": one for name, one in sample.canary.items()}
        counts |= {f"stable/{name}": one for name, one in sample.stable.items()}
        self._totals = Totals(began, counts, counters_from_json(event.data["counters"]))


def _beside(baseline: Baseline) -> str:
    if baseline.counts.total == 0:
        return "nothing is recorded of stable: it is held against the plan's absolute_tolerance"
    return f"compared with what is {baseline}"


def _of(evidence: float, needed: float) -> str:
    return f"{figure(evidence)}/{figure(needed)}"


def _started(setup: GateSetup) -> dict[str, object]:
    return {
        "environment": setup.environment,
        "canary": setup.canary,
        "stable": setup.stable,
        "gate": setup.gate.model_dump(mode="json"),
        "baselines": {name: one.to_json() for name, one in setup.baselines.items()},
        "needs": {name: one.to_json() for name, one in setup.needs.items()},
        "calibration": dict(setup.calibration),
    }


def _decision(event: Event) -> Decision:
    metrics = {name: MetricEvidence.from_json(one) for name, one in event.data["metrics"].items()}
    overridden = event.data.get("overridden")  # a verdict from before there were any has none
    by = GateAction.from_json(overridden) if overridden else None
    return Decision(Verdict[event.data["verdict"]], event.data["reason"], metrics, by)
