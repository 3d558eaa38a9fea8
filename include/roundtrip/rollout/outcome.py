"""What became of a release, as the ledger has it.

Rules:
1. PROMOTED: `promoted` is in the ledger and no rollback has begun since.
2. ROLLED BACK: every environment that the release touched has `rollback.verified`, newer than its last `deployed`.
3. STOPPED: nothing was deployed.
4. Everything else is BROKEN: something of the release is still out there and nobody proved what.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from roundtrip.release import Release
from roundtrip.rollout.deploying import LAPSED, ROLLBACK_BEGUN
from roundtrip.rollout.verdicts import overridden


class Outcome(Enum):
    """The four ends of a release; the values are what a person reads."""

    PROMOTED = "PROMOTED"
    ROLLED_BACK = "ROLLED BACK"
    STOPPED = "STOPPED"
    BROKEN = "BROKEN"


@dataclass(frozen=True)
class Ended:
    """An outcome and why."""

    outcome: Outcome
    reason: str


def decide(release: Release) -> Ended:
    """The outcome that the ledger's events amount to."""
    ledger = release.ledger
    touched = {str(event.key) for event in ledger.events(release.id, kind="deployed")}
    restored = {str(event.key) for event in ledger.events(release.id, kind="rollback.verified")}
    begun = ledger.last(release.id, ROLLBACK_BEGUN)
    promoted = ledger.last(release.id, "promoted")
    if begun is None and promoted is not None:
        runs = f"{promoted.data['environment']} runs {release.plan.to_version}"
        return Ended(Outcome.PROMOTED, "; ".join([runs, *overridden(release)]))
    cause = _cause(release)
    if not touched:
        return Ended(Outcome.STOPPED, f"nothing was deployed; {cause}")
    if begun is not None and touched <= restored:
        return Ended(Outcome.ROLLED_BACK, "; ".join([cause, *_not_restored(release, touched)]))
    left = ", ".join(sorted(touched - restored))
    how = "the rollback could not finish" if begun else "no rollback ran"
    return Ended(Outcome.BROKEN, "; ".join([f"{how} in {left}", cause, *_not_restored(release, touched)]))


def _not_restored(release: Release, touched: set[str]) -> list[str]:
    """What the plan says cannot be taken back, where the new version may have run in production."""
    door = release.plan.rollback.one_way_door
    is_behind = "production" in release.environments and release.environment("production").name in touched
    return [f"not restored, as was accepted: {door}"] if door is not None and is_behind else []


def _cause(release: Release) -> str:
    """What decided against it, else the first task that failed: one that was tried again, and well, decided nothing."""
    events = release.ledger.events(release.id)
    decided = [
        event
        for event in events
        if event.kind in ("verify.refused", LAPSED)
        or (event.kind == "gate.verdict" and event.data["verdict"] != "PASS")
    ]
    failures = decided or [event for event in events if event.kind == "task.failed"]
    if not failures:
        begun = release.ledger.last(release.id, ROLLBACK_BEGUN)
        return str(begun.data["why"]) if begun else "a task was skipped, cancelled or lost"
    first = failures[0]
    if first.kind == "gate.verdict":
        return f"gate {first.key}: {first.data['verdict']}: {first.data['reason']}"
    return str(first.data.get("error") or first.data.get("reason"))
