"""What a release leaves that could not be taken back: the person who has to look needs it in the first line that they read.

Rules:
1. What serves is what is observed now, not what the ledger hopes for; what cannot be observed is named with the reason.
2. What was tried is what the ledger has since the way back began, a step once, with its last failure.
3. The next command is one that can be typed as it stands.
4. Events that were altered keep nobody from what can be observed: every environment is looked at then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from roundtrip.errors import LedgerError, RoundtripError
from roundtrip.ledger.ledger import Event
from roundtrip.release import Release
from roundtrip.rollback.restoring import stages
from roundtrip.rollout.deploying import ROLLBACK_BEGUN, describe

SECTION = "rollback."
LONGEST_ERROR = 300
"""characters; the whole one is in the timeline and in the task's log"""


@dataclass(frozen=True)
class Left:
    """What is out there, what was tried, what to do."""

    serves: Mapping[str, str]
    """by environment: placements with their share of traffic, or why nobody can tell"""
    tried: tuple[str, ...]
    """steps of the way back, in order"""
    next: str
    """a command"""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        serves = "; ".join(f"{name} now: {what}" for name, what in self.serves.items())
        return f"{serves}; tried: {'; '.join(self.tried) or 'nothing'}"


def left_by(release: Release) -> Left:
    """What a release that is BROKEN leaves."""
    try:
        touched, tried = stages(release), _tried(release)
    except LedgerError as error:
        touched, tried = list(release.environments), [f"cannot be told: {error}"]
    serves = {release.environment(stage).name: _serves(release, stage) for stage in touched}
    return Left(serves, tuple(tried), release.way_back)


def _serves(release: Release, stage: str) -> str:
    try:
        return describe(release.target(stage).observe())
    except RoundtripError as error:
        return f"cannot be observed: {error}"


def _tried(release: Release) -> list[str]:
    begun = release.ledger.last(release.id, ROLLBACK_BEGUN)
    since = release.ledger.events(release.id, after=begun.seq if begun else 0)
    steps: dict[str, str] = {}
    for event in since:
        said = _said(event)
        if said is not None:
            name, what = said
            steps.pop(name, None)  # its place is that of its last attempt
            steps[name] = f"{name} {what}"
    return list(steps.values())


def _said(event: Event) -> tuple[str, str] | None:
    """A step of the way back and how it went."""
    if event.kind == "rollback.step":
        return str(event.data["step"]), "done"
    if event.kind == "task.failed" and str(event.data["task"]).startswith(SECTION):
        error = str(event.data["error"])
        short = error if len(error) <= LONGEST_ERROR else f"{error[:LONGEST_ERROR]} …"
        return str(event.data["task"]).removeprefix(SECTION), f"failed: {short}"
    return None
