"""One release as its events tell it.

Rules:
1. Only what is in the ledger is told. What is not there is None or empty, never a default that looks like
   a result.
2. A field that an event lacks does not stop the story: the dossier of a broken release matters most.
3. Times are those of the events.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from roundtrip.errors import LedgerError
from roundtrip.ledger.ledger import Event

UNFINISHED = "UNFINISHED"
"""what a release without `release.outcome` is called"""

MISSING = "not recorded"


@dataclass(frozen=True)
class GateStory:
    """One gate: what it watched and how it ended."""

    id: str
    started: Event | None
    samples: tuple[Event, ...]
    """in order, the first one is the beginning of the counts"""
    pulled: Event | None
    """the trigger took the canary's traffic away"""
    verdict: Event | None
    """None while it runs, and for one that was never decided"""
    actions: tuple[Event, ...] = ()
    """what people asked of it"""

    @property
    def name(self) -> str:
        """PASS, FAIL, INCONCLUSIVE, or NO VERDICT."""
        return str(self.verdict.data.get("verdict", MISSING)) if self.verdict else "NO VERDICT"

    @property
    def title(self) -> str:
        """The name, with whoever overrode the gate: such a PASS is never told as one of the evidence."""
        overridden = self.verdict.data.get("overridden") if self.verdict else None
        return titled(self.name, str(overridden.get("by", MISSING)) if overridden else None)

    @property
    def found_against(self) -> tuple[str, ...]:
        """Metrics with as much evidence against the new version as the gate asks for."""
        metrics = self.verdict.data.get("metrics", {}) if self.verdict else {}
        return tuple(
            name
            for name, one in metrics.items()
            if one.get("evidence_against", 0.0) >= one.get("against_needed", math.inf)
        )

    @property
    def reason(self) -> str:
        return str(self.verdict.data.get("reason", "")) if self.verdict else "the gate has not decided"


@dataclass(frozen=True)
class Story:
    """All events of one release, in order, and what they amount to."""

    release: str
    events: tuple[Event, ...]

    @property
    def started(self) -> Mapping[str, Any]:
        """Data of `release.started`; empty when the release was never opened."""
        event = self.last("release.started")
        return event.data if event else {}

    @property
    def began_at(self) -> datetime:
        return self.events[0].at

    @property
    def ended_at(self) -> datetime:
        return self.events[-1].at

    @property
    def taken_back_later(self) -> Event | None:
        """`rollback.begun` of a release that had ended before; None of one that was taken back on its way, or not at all."""
        begun, outcome = self.first("rollback.begun"), self.first("release.outcome")
        return begun if begun and outcome and begun.seq > outcome.seq else None

    @property
    def duration(self) -> timedelta:
        """Of the release itself: what lies between its end and a later rollback is nobody's work."""
        outcome = self.first("release.outcome")
        ended_at = outcome.at if outcome and self.taken_back_later else self.ended_at
        return ended_at - self.began_at

    @property
    def outcome(self) -> str:
        event = self.last("release.outcome")
        return str(event.data.get("outcome", MISSING)) if event else UNFINISHED

    @property
    def reason(self) -> str:
        event = self.last("release.outcome")
        return str(event.data.get("reason", "")) if event else "the release has no outcome in the ledger"

    @property
    def title(self) -> str:
        """`Top_Tier_Trading 1.0.0 → 1.1.0`."""
        started = self.started
        platform = started.get("platform") or started.get("plan") or self.release
        return f"{platform} {started.get('from_version', '?')} → {started.get('to_version', '?')}"

    @property
    def is_drill(self) -> bool:
        return bool(self.started.get("drill"))

    @property
    def commit(self) -> str | None:
        """The commit that was built and released."""
        event = self.last("candidate.chosen")
        found = event.data.get("commit") if event else self.started.get("commit")
        return str(found) if found else None

    def all(self, kind: str) -> tuple[Event, ...]:
        return tuple(event for event in self.events if event.kind == kind)

    def last(self, kind: str) -> Event | None:
        found = self.all(kind)
        return found[-1] if found else None

    def first(self, kind: str) -> Event | None:
        found = self.all(kind)
        return found[0] if found else None

    def checklist(self) -> Mapping[str, Event]:
        """The newest inspection of each item of the checklist, by item, in the order of the plan's sentences."""
        newest = {str(event.data.get("item") or event.key): event for event in self.all("checklist.item")}
        return dict(sorted(newest.items(), key=lambda item: str(item[1].data.get("sentence"))))

    def gates(self) -> tuple[GateStory, ...]:
        """Every gate that began or was decided, in the order in which they began."""
        ids = dict.fromkeys(
            gate_id
            for e in self.events
            if e.kind.startswith("gate.") and (gate_id := gate_id_of(e)) is not None
        )
        return tuple(self._gate(gate_id) for gate_id in ids)

    def _gate(self, gate_id: str) -> GateStory:
        mine = [e for e in self.events if e.kind.startswith("gate.") and gate_id_of(e) == gate_id]
        by_kind = {e.kind: e for e in mine}
        samples = sorted(
            (e for e in mine if e.kind == "gate.sample"), key=lambda e: e.data.get("number", e.seq)
        )
        return GateStory(
            gate_id,
            by_kind.get("gate.started"),
            tuple(samples),
            by_kind.get("gate.pulled"),
            by_kind.get("gate.verdict"),
            tuple(e for e in mine if e.kind == "gate.action"),
        )


def read_story(release: str, events: Sequence[Event]) -> Story:
    """The story of `release`. Raises LedgerError when the ledger has no event of it."""
    mine = tuple(sorted((e for e in events if e.release == release), key=lambda e: e.seq))
    if not mine:
        raise LedgerError(
            f"no event of release '{release}'",
            where="ledger",
            remedy="check the release id; `./roundtrip` prints it",
        )
    return Story(release, mine)


def titled(verdict: str, overridden_by: str | None) -> str:
    """`PASS`, or `PASS, overridden by ada`."""
    return verdict if overridden_by is None else f"{verdict}, overridden by {overridden_by}"


def gate_id_of(event: Event) -> str | None:
    """The gate that an event belongs to: its data says so, or its key (`id`, of samples `id` and a
    number)."""
    if "gate_id" in event.data:
        return str(event.data["gate_id"])
    if event.key is None:
        return None
    if event.kind != "gate.sample":
        return event.key
    return event.key.rpartition("#")[0] or None
