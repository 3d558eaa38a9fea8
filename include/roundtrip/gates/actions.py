"""Actions: what a person may ask of a gate that has begun. Pure values and their times; who may ask is `rollout.gate_actions`.

Rules:
1. A gate hears of an action with its next sample, and the action holds from that sample on. The sample carries it, so
   whoever judges the same samples again hears the same at the same place.
2. Pause: until `until` or a resume nothing passes and the deadline stands still. Samples are taken and judged as ever:
   a FAIL is a FAIL, and what cannot be read for too long still ends the gate.
3. Extend: the deadline is that much later; all extensions together at most double it.
4. Override: until `until`, what the comparison has left undecided is a PASS in that person's name. It stands in for an
   amount of evidence, never for evidence: both versions have to be counted in every metric (`sequential`, rule 4).
5. No action reaches a FAIL or a guard rail: those are asked before and after (`sequential`, `guard_rails`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # a DAG file imports the bounds of the form from here, and is parsed often
    from roundtrip.ledger.ledger import Event, Ledger

ACTION = "gate.action"
"""Kind of the ledger's events."""

MOST_MINUTES = 240
"""of one action; the gate's plan bounds their sum"""
SHORTEST_REASON = 10
"""Characters; a shorter one says nothing to whoever reads the dossier."""
LONGEST_REASON = 500

Kind = Literal["pause", "extend", "override", "resume"]
KINDS: tuple[Kind, ...] = ("pause", "extend", "override", "resume")


@dataclass(frozen=True)
class GateAction:
    """One action of one person on one gate."""

    seq: int
    """of its event in the ledger"""
    kind: Kind
    by: str
    """who triggered it, as Airflow knows them"""
    reason: str
    minutes: int
    """asked for; an extension adds as many to the deadline"""
    at: datetime
    """since when it holds"""
    until: datetime
    """until when; of an extension the deadline that it led to"""

    def sentence(self) -> str:
        """What was done, by whom, until when, why."""
        until = f"{self.until:%H:%M:%S} UTC"
        done = {
            "pause": f"paused by {self.by} until {until}",
            "extend": f"extended by {self.by} by {self.minutes} min, to {until}",
            "override": f"overridden by {self.by} until {until}",
            "resume": f"resumed by {self.by}",
        }
        return f"{done[self.kind]}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "at": self.at.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> GateAction:
        at, until = datetime.fromisoformat(data["at"]), datetime.fromisoformat(data["until"])
        return cls(**{**data, "at": at, "until": until})

    @classmethod
    def of(cls, event: Event) -> GateAction:
        """What a `gate.action` event says."""
        data = event.data
        at, until = datetime.fromisoformat(data["at"]), datetime.fromisoformat(data["until"])
        return cls(event.seq, data["action"], data["by"], data["reason"], data["minutes"], at, until)


def asked(ledger: Ledger, release: str, gate_id: str, *, after: int = 0) -> tuple[GateAction, ...]:
    """What people asked of a gate, in order, in events above `after`: one query by release and kind, for each sample."""
    events = ledger.events(release, kind=ACTION, after=after)
    return tuple(GateAction.of(event) for event in events if event.data["gate_id"] == gate_id)


@dataclass(frozen=True)
class Actions:
    """All that a gate has heard, in the ledger's order."""

    each: tuple[GateAction, ...] = ()

    @property
    def newest(self) -> int:
        """`seq` of the last one; 0 when there is none."""
        return self.each[-1].seq if self.each else 0

    def heard(self, actions: tuple[GateAction, ...], at: datetime) -> Actions:
        """With `actions` that came with the sample of `at`; where hosts disagree about the time, the sample's counts."""
        if not actions:
            return self
        return Actions((*self.each, *(replace(one, at=min(one.at, at)) for one in actions)))

    def pause(self, at: datetime) -> GateAction | None:
        """The pause that holds at `at`, the one that lasts longest of several."""
        holding = [(ends, one) for one, ends in self._pauses() if one.at <= at < ends]
        return max(holding, key=lambda pair: pair[0])[1] if holding else None

    def override(self, at: datetime) -> GateAction | None:
        """The newest override that holds at `at`."""
        holding = [one for one in self.each if one.kind == "override" and one.at <= at < one.until]
        return holding[-1] if holding else None

    def extensions(self) -> tuple[GateAction, ...]:
        return tuple(one for one in self.each if one.kind == "extend")

    def extended_seconds(self, deadline_seconds: float) -> float:
        """By how much people made the deadline later; never more than it was."""
        return min(deadline_seconds, sum(60.0 * one.minutes for one in self.extensions()))

    def paused_seconds(self, at: datetime | None = None) -> float:
        """Seconds of pause up to `at`, or up to the end of every pause; what two pauses share counts once."""
        paused, since = timedelta(0), None
        for one, ends in sorted(self._pauses(), key=lambda pair: pair[0].at):
            begins = one.at if since is None else max(since, one.at)
            stops = ends if at is None else min(ends, at)
            paused += max(timedelta(0), stops - begins)
            since = max(begins, stops)
        return paused.total_seconds()

    def added_seconds(self, deadline_seconds: float, at: datetime) -> float:
        """How much later than `deadline_seconds` the gate is decided at the latest, as it stands at `at`."""
        return self.extended_seconds(deadline_seconds) + self.paused_seconds(at)

    def _pauses(self) -> list[tuple[GateAction, datetime]]:
        """Each pause and its end: its `until`, or the first resume after it."""
        found = []
        for number, one in enumerate(self.each):
            if one.kind == "pause":
                resumed = [later.at for later in self.each[number:] if later.kind == "resume"]
                found.append((one, min([one.until, *resumed])))
        return found
