"""The one-way door: what a plan says cannot be taken back, and the acceptance without which production is not touched.

Rules:
1. The plan says what and why (`rollback.one_way_door`); nobody can derive it. A plan without it asks nobody.
2. It is asked before production is touched: from the first process of the new version on there is state of it.
3. An answer is one event, `approval` of the release, by a person whom the environment names, with their reason. It is final.
4. An answer is to the sentence that was asked; a plan whose sentence was changed meanwhile asks in vain, and stops.
5. What goes forward asks the ledger and nothing else: a task that was marked success by hand has left no answer there.
6. No answer in time is a no. The time runs from when it was first asked, however often the question is asked anew.
7. Taking back is never asked for: behind the door traffic still goes back, and what could not is said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from roundtrip.errors import DoorError, PlanError, PromotionError
from roundtrip.gates.actions import LONGEST_REASON, SHORTEST_REASON
from roundtrip.ledger.ledger import Event, Ledger, utc_now
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout.deploying import NO_WAY_FORWARD
from roundtrip.rollout.naming import named_release

log = logging.getLogger(__name__)

STAGE = "production"
KIND, KEY = "approval", "one-way-door"
ASKED = "door.asked"
REFUSED = "action.refused"
DECISIONS = ("accept", "reject")
Decision = Literal["accept", "reject"]

POLL_SECONDS = 2.0
SAY_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """What one run of the DAG `one_way_door` says."""

    run: str
    """id of the run"""
    by: str | None
    """who triggered it; None when Airflow names nobody"""
    release: str
    """id of the release, or of its run in Airflow"""
    decision: str
    reason: str


def refuse_unanswerable(release: Release) -> None:
    """Raises PlanError when the plan asks and the environment lets nobody answer."""
    if release.plan.rollback.one_way_door is None or STAGE not in release.environments:
        return
    environment = release.environment(STAGE)
    if not environment.one_way_door_by:
        raise PlanError(
            f"the plan has a one-way door ({release.plan.rollback.one_way_door}), and nobody may accept it",
            where=environment.name,
            remedy="name who may in one_way_door_by of the environment; nothing was deployed",
        )


def require_accepted(release: Release) -> None:
    """Raises PromotionError unless there is no door, or a person has accepted it."""
    if release.plan.rollback.one_way_door is None:
        return
    answer = answered(release.ledger, release.id)
    is_of_this = answer is not None and answer.data["door"] == release.plan.rollback.one_way_door
    if answer is None or answer.data["decision"] != "accept" or not is_of_this:
        got = "nobody has answered"
        if answer is not None:
            did = "rejected it" if is_of_this else f"answered to another sentence ({answer.data['door']})"
            got = f"{answer.data['by']} {did}"
        raise PromotionError(
            f"one-way door: expected an acceptance in the ledger, {got}: {release.plan.rollback.one_way_door}",
            where=f"release {release.id}",
            remedy=f"Dags > one_way_door_{release.plan.name} > Trigger, before its time is over",
        )


def answered(ledger: Ledger, release: str) -> Event | None:
    """The answer; None while there is none."""
    return ledger.last(release, KIND, KEY)


async def wait(
    release: Release,
    say: Say,
    *,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Wait for the answer. Raises PromotionError unless it is an acceptance in time, LedgerError."""
    seconds = release.plan.rollback.acceptance_seconds
    asked = await asyncio.to_thread(_ask, release)
    until, said_at = asked.at + timedelta(seconds=seconds), None
    while (answer := await asyncio.to_thread(_outcome, release)) is None:
        now = clock()
        if now >= until:
            await asyncio.to_thread(_too_late, release, seconds)
            continue  # somebody may have answered in the last moment; the ledger has one answer
        if said_at is None or (now - said_at).total_seconds() >= SAY_SECONDS:
            say(_question(release, until))
            said_at = now
        await sleep(POLL_SECONDS)
    say(f"{answer.data['decision']} by {answer.data['by']}: {answer.data['reason']}")
    require_accepted(release)


def answer(ledger: Ledger, plan: Plan, given: Answer, *, allowed: Callable[[str], Collection[str]]) -> Event:
    """Record the answer; `allowed`: name of an environment -> who may give one there.

    The first answer stays; the same run gives the same event. Raises DoorError, StaleTokenError, LedgerError.
    """
    release = named_release(ledger, plan, given.release)
    if release is None:
        raise _refusal(given, f"no release '{given.release}' of {plan.name} has begun", "its log names it")
    there = ledger.last(release, REFUSED, given.run)
    if there is not None:
        raise _refusal(given, f"was refused before: {there.data['why']}", "trigger a new run")
    try:
        asked = _require_open(ledger, plan, release, given)
        _require_leave(given, str(asked.data["environment"]), allowed)
        data = {
            "door": asked.data["door"],
            "decision": given.decision,
            "by": given.by,
            "reason": _one_line(given.reason),
            "run": given.run,
        }
        done = ledger.append_once(release, KIND, KEY, data, actor=str(given.by), refuse_after=NO_WAY_FORWARD)
        _require_own(given, done)  # somebody else, or the end of the time, may have been quicker
    except DoorError as error:
        about = {"door": KEY, "action": given.decision, "by": given.by, "why": error.what}
        ledger.append_once(release, REFUSED, given.run, about, actor=given.by or "nobody")
        raise
    return done


def _require_own(given: Answer, there: Event) -> None:
    if there.data["run"] != given.run:
        what = f"{there.data['by']} has answered: {there.data['decision']}: {there.data['reason']}"
        raise _refusal(given, what, "an answer is final; release again")


def _require_open(ledger: Ledger, plan: Plan, release: str, given: Answer) -> Event:
    """The question."""
    if plan.rollback.one_way_door is None:
        raise _refusal(given, f"plan {plan.name} has no one-way door", "nothing waits for an answer")
    before = answered(ledger, release)
    if before is not None:
        _require_own(given, before)
    for kind in (*NO_WAY_FORWARD, "promoted", "release.outcome"):
        ended = ledger.last(release, kind)
        if ended is not None:
            what = f"the release is over: {kind} is in the ledger since {ended.at:%Y-%m-%d %H:%M:%S} UTC"
            raise _refusal(given, what, "nothing of it goes forward any more")
    asked = ledger.last(release, ASKED, KEY)
    if asked is None:
        raise _refusal(given, "was not asked yet", "wait until its task is deferred")
    return asked


def _require_leave(given: Answer, environment: str, allowed: Callable[[str], Collection[str]]) -> None:
    if not given.by:
        raise _refusal(given, "Airflow names nobody who triggered this run", "trigger it in the UI")
    if given.decision not in DECISIONS:
        raise _refusal(given, f"expected one of {', '.join(DECISIONS)}, got '{given.decision}'", "choose one")
    length = len(_one_line(given.reason))
    if not SHORTEST_REASON <= length <= LONGEST_REASON:
        what = f"expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, got {length}"
        raise _refusal(given, what, "say why, for whoever reads the dossier")
    names = sorted(allowed(environment))
    if given.by not in names:
        what = f"{given.by} may not answer in {environment}; allowed: {', '.join(names) or 'nobody'}"
        raise _refusal(given, what, "ask one of them, or change one_way_door_by of the environment")


def _ask(release: Release) -> Event:
    data = {
        "plan": release.plan.name,
        "environment": release.environment(STAGE).name,
        "door": release.plan.rollback.one_way_door,
        "seconds": release.plan.rollback.acceptance_seconds,
    }
    return release.ledger.append_once(release.id, ASKED, KEY, data)


def _outcome(release: Release) -> Event | None:
    """The answer; None while there is none. Raises PromotionError when nobody has to answer any more."""
    there = answered(release.ledger, release.id)
    if there is not None:
        return there
    for kind in NO_WAY_FORWARD:
        back = release.ledger.last(release.id, kind)
        if back is not None:
            raise PromotionError(
                f"{kind} is in the ledger since {back.at:%Y-%m-%d %H:%M:%S} UTC",
                where=f"release {release.id}",
                remedy="this release is being taken back; nothing of it goes forward any more",
            )
    return None


def _too_late(release: Release, seconds: float) -> None:
    """Rule 6."""
    data = {
        "door": release.plan.rollback.one_way_door,
        "decision": "reject",
        "by": "nobody",
        "reason": f"not answered within {seconds:g} s",
        "run": "timeout",
    }
    release.ledger.append_once(release.id, KIND, KEY, data)


def _question(release: Release, until: datetime) -> str:
    names = ", ".join(release.environment(STAGE).one_way_door_by)
    return (
        f"one-way door: {release.plan.rollback.one_way_door}; waits until {until:%Y-%m-%d %H:%M} UTC for {names}: "
        f"Dags > one_way_door_{release.plan.name} > Trigger, release {release.id}"
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _refusal(given: Answer, what: str, remedy: str) -> DoorError:
    return DoorError(what, where=f"{given.decision} of the one-way door of {given.release}", remedy=remedy)
