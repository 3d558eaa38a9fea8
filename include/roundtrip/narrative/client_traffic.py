"""Puts the clients' own account of a release into the ledger, phase by phase.

Rules:
1. Phases lie end to end at whole seconds, so every request is in exactly one and their sum is the whole
   release: its last second too, which is waited for.
2. An account that does not reach the end of a phase is recorded as incomplete, with the reason. It is
   never zero.
3. A phase is recorded once and ends where the release was then; called again, for instance after a rollback by
   hand, only new phases are added.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from roundtrip.errors import EvidenceError
from roundtrip.ledger.ledger import Event
from roundtrip.narrative.story import Story, read_story
from roundtrip.release import Release
from roundtrip.traffic.account import TrafficAccount
from roundtrip.traffic.rate import traffic_folder

COVER_LIMIT_SECONDS = 15.0
BEFORE = "before"
ROLLBACK = "rollback"
PROMOTED = "promoted"


@dataclass(frozen=True)
class Phase:
    """A stretch of a release, named after what began it."""

    name: str
    since: datetime
    until: datetime


def record_traffic(release: Release, *, goes_on: bool = False) -> None:
    """Append `traffic.summary` for every phase of every environment that has generated traffic.

    `goes_on`: the phase that the release is in has not ended, and is left for later.
    """
    story = read_story(release.id, release.ledger.events(release.id))
    for environment in release.environments.values():
        folder = traffic_folder(release.home, environment.name)
        if environment.traffic is None:
            continue
        found = phases(story, environment.name)
        for phase in found[:-1] if goes_on else found:
            data = _summary(TrafficAccount(folder), phase)
            release.ledger.append_once(
                release.id, "traffic.summary", f"{environment.name}/{phase.name}", data
            )


def by_version(summary: Event, what: str) -> str:
    """How many requests `failed` or were `slow` in a `traffic.summary`, by the version that answered; empty when none."""
    counts: Mapping[str, int] = summary.data.get(f"{what}_by_version", {})
    return ", ".join(f"{version}: {number}" for version, number in counts.items())


def phases(story: Story, environment: str) -> tuple[Phase, ...]:
    """The phases of `environment`; none when the release never came to it."""
    marks = [(at, name) for at, name in _marks(story, environment)]
    if len(marks) <= 1:
        return ()
    begins = [_second(at) for at, _ in marks]
    ends = [*begins[1:], _second(_end(story)) + timedelta(seconds=1)]
    return tuple(
        Phase(name, since, until)
        for (_, name), since, until in zip(marks, begins, ends, strict=True)
        if since < until
    )


def _marks(story: Story, environment: str) -> Sequence[tuple[datetime, str]]:
    marks = [(story.began_at, BEFORE)]
    for event in story.events:
        if event.kind == "gate.started" and event.data.get("environment") == environment and event.key:
            marks.append((event.at, event.key))
        if event.kind == "rollback.begun" and _is_touched(story, environment):
            marks.append((event.at, ROLLBACK))
        if event.kind == "promoted" and event.data.get("environment") == environment:
            marks.append((event.at, PROMOTED))
    if _is_touched(story, environment) and len(marks) == 1:
        placed = next(event for event in story.all("deployed") if event.key == environment)
        marks.append((placed.at, "deployed"))
    return marks


def _is_touched(story: Story, environment: str) -> bool:
    return environment in {event.key for event in story.all("deployed")}


def _end(story: Story) -> datetime:
    """The release's last own event; what this module appended before does not prolong it."""
    own: list[Event] = [event for event in story.events if event.kind != "traffic.summary"]
    return own[-1].at


def _second(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _summary(account: TrafficAccount, phase: Phase) -> dict[str, object]:
    incomplete: str | None = None
    try:
        account.wait_covered(phase.until, limit_seconds=COVER_LIMIT_SECONDS)
    except EvidenceError as error:
        incomplete = error.what
    summary = account.summary(phase.since, phase.until)
    return {
        **summary.to_json(),
        "since": phase.since.isoformat(),
        "until": phase.until.isoformat(),
        "incomplete": incomplete,
    }
