"""What people are told: what happened, where, since when, what happens next, where to look.

Rules:
1. It is made of the ledger's events and the plan. Nothing that a client sent or was answered is in it, and no text of an
   error: that may hold either. It is in the dossier.
2. `about` makes a message one of its kind in the release: the gate, or the attempt to take the release back.
3. A drill says so first, and is told in staging only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from roundtrip.ledger.ledger import Event
from roundtrip.release import Release

RUNBOOK = "docs/runbook.md"


class Moment(Enum):
    """What people are told of; the values are in the ledger."""

    STARTED = "started"
    WAITS = "waits"
    BREACH = "breach"
    ROLLBACK_BEGUN = "rollback-begun"
    RESTORED = "restored"
    BROKEN = "broken"
    PROMOTED = "promoted"
    STOPPED = "stopped"
    POST_MORTEM_DUE = "post-mortem-due"
    GITHUB_FAILED = "github-failed"


@dataclass(frozen=True)
class Message:
    """One message to the people of some environments."""

    moment: Moment
    stages: tuple[str, ...]
    """stages whose environments' channels it goes to"""
    subject: str
    body: str
    about: str = ""


def started(release: Release) -> Message:
    """The release is open."""
    plan = release.plan
    stages = _all(release)
    return _message(
        release,
        Moment.STARTED,
        stages,
        f"release of {_what(release)} has begun",
        what=f"{plan.from_version} → {plan.to_version}, as “{plan.document}” says",
        since=release.ledger.last(release.id, "release.started"),
        then="it is checked, built and tried in staging" + ("" if release.is_drill else _on_the_way(release)),
    )


def _on_the_way(release: Release) -> str:
    waves = "goes to production in waves with a gate after each"
    if release.plan.rollback.one_way_door is None:
        return f", then {waves}"
    return f", then waits until a person has accepted its one-way door, and {waves}"


def waits(release: Release) -> Message:
    """It waits for a person at its one-way door."""
    plan = release.plan
    asked = release.ledger.last(release.id, "door.asked")
    until = asked.at + timedelta(seconds=plan.rollback.acceptance_seconds) if asked else None
    return _message(
        release,
        Moment.WAITS,
        _all(release),
        f"{_what(release)} waits for somebody to accept what cannot be taken back",
        what=str(plan.rollback.one_way_door),
        since=asked,
        then=f"nothing, until an answer: Dags > one_way_door_{plan.name} > Trigger; without one it is rejected"
        + (f" at {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""),
    )


def breaches(release: Release) -> list[Message]:
    """One for each gate that said FAIL, and one when nobody looked after the release any more."""
    events = release.ledger.events(release.id)
    fails = [e for e in events if e.kind == "gate.verdict" and e.data["verdict"] == "FAIL"]
    lapses = [e for e in events if e.kind == "watchdog.lapsed"]
    said = [
        *((event, f"gate {event.key} says FAIL of {_what(release)}", str(event.key)) for event in fails),
        *((event, f"the watchdog takes {_what(release)} back", f"watchdog {event.key}") for event in lapses),
    ]
    return [
        _message(
            release,
            Moment.BREACH,
            _stages_of(release, event),
            subject,
            what=str(event.data["reason"]),
            since=event,
            then="the new version's traffic is taken away and the release is taken back",
            about=about,
        )
        for event, subject, about in said
    ]


def rollback_begun(release: Release) -> Message:
    """The release is being taken back."""
    begun = release.ledger.last(release.id, "rollback.begun")
    return _message(
        release,
        Moment.ROLLBACK_BEGUN,
        _touched(release),
        f"{_what(release)} is being taken back",
        what=str(begun.data["why"]) if begun else "the rollback's first step did not end well",
        since=_attempt(release) or begun,
        then=f"{release.plan.from_version} gets all traffic, then its state, and is compared with the snapshot; "
        "the end is told",
        about=_attempt_name(release),
    )


def ended(release: Release, outcome: str) -> Message:
    """The release's end; `outcome` is one of PROMOTED, ROLLED BACK, BROKEN, STOPPED."""
    plan, what = release.plan, _what(release)
    last = release.ledger.last
    if outcome == "PROMOTED":
        return _message(
            release,
            Moment.PROMOTED,
            _all(release),
            f"{what} is in production",
            what="every gate and the soak have passed",
            since=last(release.id, "promoted"),
            then=f"runbook.md beside the dossier says what is new; {RUNBOOK} how to take it back",
        )
    if outcome == "ROLLED BACK":
        return _message(
            release,
            Moment.RESTORED,
            _touched(release),
            f"{what} was taken back, {plan.from_version} serves",
            what="services, configuration, Redis and main equal the snapshot",
            since=last(release.id, "rollback.verified"),
            then="the draft of the post-mortem is beside the dossier",
            about=_attempt_name(release),
        )
    if outcome == "BROKEN":
        return _message(
            release,
            Moment.BROKEN,
            _touched(release),
            f"{what} COULD NOT BE TAKEN BACK, somebody has to look now",
            what="something of the release is out there and nobody proved what",
            since=_attempt(release) or last(release.id, "deployed"),
            then=f"nothing by itself: {release.way_back}; do what {RUNBOOK} says under BROKEN",
            about=_attempt_name(release),
        )
    return _message(
        release,
        Moment.STOPPED,
        _all(release),
        f"release of {what} has stopped, nothing was deployed",
        what="something before the first deployment did not pass",
        since=last(release.id, "task.failed"),
        then="mend what the dossier says, then release again",
    )


def post_mortem_due(release: Release) -> Message:
    """The draft is there, people's part is open."""
    return _message(
        release,
        Moment.POST_MORTEM_DUE,
        _touched(release),
        f"post-mortem of {_what(release)} is due",
        what=f"the draft is {release.folder / 'postmortem.md'}",
        since=release.ledger.last(release.id, "rollback.verified"),
        then="its questions to people are yours to answer",
        about=_attempt_name(release),
    )


def github_failed(release: Release, part: str) -> Message:
    """Something of the release is not on GitHub; `part` is what, in the words of the ledger's events."""
    failed = release.ledger.last(release.id, "github.failed")
    return _message(
        release,
        Moment.GITHUB_FAILED,
        _all(release),
        f"GitHub does not show what became of {_what(release)}",
        what=f"{part}: GitHub did not take it; the reason is in the dossier",
        since=failed,
        then="the release goes on without; docs/github.md says how it is done again",
        about=part,
    )


def _stages_of(release: Release, event: Event) -> Sequence[str]:
    """The stage of the environment that the event names; all where it names none of the release's."""
    named = event.data.get("environment")
    return [stage for stage, one in release.environments.items() if one.name == named] or _all(release)


def _message(
    release: Release,
    moment: Moment,
    stages: Sequence[str],
    said: str,
    *,
    what: str,
    since: Event | None,
    then: str,
    about: str = "",
) -> Message:
    where = ", ".join(release.environment(stage).name for stage in stages)
    prefix = "Drill: " if release.is_drill else ""
    lines = [
        f"What: {what}.",
        f"Where: {where}, {release.id}",
        f"Since: {f'{since.at:%Y-%m-%d %H:%M:%S} UTC' if since else 'not recorded'}",
        f"Next: {then}.",
        f"Look at: {release.home.dossier(release.id)}" + (f", {release.ui}" if release.ui else ""),
    ]
    return Message(moment, tuple(stages), f"{prefix}{said} ({where})", "\n".join(lines), about)


def _what(release: Release) -> str:
    return f"{release.plan.platform} {release.plan.to_version}"


def _all(release: Release) -> tuple[str, ...]:
    return ("staging",) if release.is_drill else tuple(sorted(release.environments, reverse=True))


def _touched(release: Release) -> tuple[str, ...]:
    """Stages where something of the release was deployed; all of them when that is not known."""
    names = {event.key for event in release.ledger.events(release.id, kind="deployed")}
    stages = sorted(stage for stage, environment in release.environments.items() if environment.name in names)
    return tuple(stages) or _all(release)


def _attempt(release: Release) -> Event | None:
    """The newest beginning of a rollback: a second one, by hand, is told again."""
    taken = release.ledger.events(release.id, kind="token.taken")
    return next((event for event in reversed(taken) if event.data["holder"] == "rollback.begin"), None)


def _attempt_name(release: Release) -> str:
    attempt = _attempt(release)
    return str(attempt.seq) if attempt else ""
