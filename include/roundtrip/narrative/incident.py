"""How a fault was found and taken back: the times that a post-mortem and a drill are about.

Rules:
1. Detection time runs from `deployed`, the moment before the first change that places the new version in the environment where
   something was found, to the first sign of failure; recovery time from there to the last environment that was proven
   restored. So detection time holds the placing too, which clients do not see: since when they were answered is
   `served_at`, the first deployment observed there with weight on the new version. Every text says which of both it means.
2. A time whose end is not in the ledger is None.
3. What failed before a promotion was made good: it is not what a release was taken back for afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from roundtrip.ledger.ledger import Event
from roundtrip.narrative.story import Story

FAILURES = ("gate.verdict", "task.failed", "verify.refused", "smoke.result", "watchdog.lapsed")


@dataclass(frozen=True)
class Incident:
    """The fault of one release, as far as the ledger knows it."""

    where: str
    """the environment where it was found; empty when nothing was placed"""
    placed_at: datetime | None
    """when the new version was about to be placed, for the first time, in the environment where the fault was found"""
    served_at: datetime | None
    """when it was first observed there with weight; None when it never was"""
    found_by: Event | None
    """the first FAIL, failed test, failed task, refusal, or lapse of the lease"""
    pulled_at: datetime | None
    """when the canary's traffic was first taken away"""
    begun_at: datetime | None
    restored_at: datetime | None
    """when the last environment was proven restored; None when one is not"""

    @property
    def detection_seconds(self) -> float | None:
        return _between(self.placed_at, self.found_by.at if self.found_by else None)

    @property
    def recovery_seconds(self) -> float | None:
        return _between(self.found_by.at if self.found_by else self.begun_at, self.restored_at)


def incident(story: Story) -> Incident:
    """The incident of a release that was, or is to be, taken back."""
    found = _found(story)
    placed, begun = _placed(story, found), story.first("rollback.begun")
    pulled = [event.at for event in (*story.all("gate.pulled"), *story.all("watchdog.pulled"))]
    touched = {event.key for event in story.all("deployed")}
    restored = {event.key: event.at for event in story.all("rollback.verified")}
    is_restored = bool(touched) and touched <= set(restored)
    return Incident(
        where=str(placed.key) if placed else "",
        placed_at=placed.at if placed else None,
        served_at=_served_at(story, placed) if placed else None,
        found_by=found,
        pulled_at=min(pulled) if pulled else None,
        begun_at=begun.at if begun else None,
        restored_at=max(restored.values()) if is_restored else None,
    )


def is_failure(event: Event) -> bool:
    """Whether this event says that something is wrong with the release."""
    if event.kind == "gate.verdict":
        return event.data.get("verdict") != "PASS"
    if event.kind == "smoke.result":
        return event.data.get("ok") is not True
    return event.kind in FAILURES


def _found(story: Story) -> Event | None:
    """The first failure since something was placed; what failed before that was tried again, or nothing was placed."""
    failures = _failures(story)
    placed = story.first("deployed")
    since = [event for event in failures if placed is not None and event.seq > placed.seq]
    return next(iter(since or failures), None)


def failed_before(story: Story, begun: Event) -> Event | None:
    """What kept the release from going on when the rollback `begun`: what decides, else the failure that came last, for those
    before it may have been tried again, and well."""
    failures = [event for event in _failures(story) if event.seq < begun.seq]
    decided = [event for event in failures if event.kind not in ("task.failed", "smoke.result")]
    return next(iter([*decided, *reversed(failures)]), None)


def _failures(story: Story) -> list[Event]:
    """Rule 3."""
    promoted = story.last("promoted")
    since = promoted.seq if promoted else 0
    return [event for event in story.events if is_failure(event) and event.seq > since]


def _served_at(story: Story, placed: Event) -> datetime | None:
    version = story.started.get("to_version")
    for event in story.all("converge.finished"):
        placements = event.data.get("observed", {}).get("placements", [])
        served = any(p.get("version") == version and p.get("weight_percent", 0) > 0 for p in placements)
        if event.seq > placed.seq and event.data.get("environment") == placed.key and served:
            return event.at
    return None


def _placed(story: Story, found: Event | None) -> Event | None:
    """The first `deployed` of the environment that `found` is about; of any when it is about none. Taken back with nothing
    found, it is about the last environment that it came to: the one with the most to lose."""
    if found is None:
        return story.last("deployed")
    where = _environment(story, found)
    there = [event for event in story.all("deployed") if where in (None, event.key)]
    return there[0] if there else story.first("deployed")


def _environment(story: Story, found: Event) -> str | None:
    """Named by the event; of a task that failed, its section's."""
    if "environment" in found.data:
        return str(found.data["environment"])
    section = str(found.data.get("task", "")).partition(".")[0]
    named = story.started.get("environments", {}).get(section)
    return str(named) if named else None


def _between(since: datetime | None, until: datetime | None) -> float | None:
    return (until - since).total_seconds() if since and until else None
