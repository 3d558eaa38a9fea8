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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from roundtrip.errors import DoorError, PlanError, PromotionError
from roundtrip.ledger.ledger import Event, Ledger, utc_now
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout.asking import Allowed, Form, ask, require_going, require_leave
from roundtrip.rollout.deploying import NO_WAY_FORWARD

log = logging.getLogger(__name__)

STAGE = "production"
KIND, KEY = "approval", "one-way-door"
ASKED = "door.asked"
DECISIONS = ("accept", "reject")

POLL_SECONDS = 2.0
SAY_SECONDS = 60.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Answer(Form):
    """What one run of the DAG `one_way_door` says; `action` is the decision."""

    dag = "one_way_door"
    error = DoorError

    @property
    def where(self) -> str:
        return f"{self.action} of the one-way door of {self.release}"

    def about(self) -> dict[str, Any]:
        return {"door": KEY, "action": self.action, "reason": self.why}


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
            where=release.id,
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
    asked = await asyncio.to_thread(put, release)
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


def answer(ledger: Ledger, plan: Plan, given: Answer, *, allowed: Allowed) -> Event:
    """Record the answer. The first one stays. Raises DoorError, StaleTokenError when the rollback begins, LedgerError."""

    def accept(release: str) -> Event:
        asked = _require_open(ledger, plan, release, given)
        require_leave(given, str(asked.data["environment"]), allowed, to="answer", setting="one_way_door_by")
        if given.action not in DECISIONS:
            what = f"expected one of {', '.join(DECISIONS)}, got '{given.action}'"
            raise given.refused(what, "choose one")
        data = {
            "door": asked.data["door"],
            "decision": given.action,
            "by": given.by,
            "reason": given.why,
            "run": given.run,
        }
        done = ledger.append_once(release, KIND, KEY, data, actor=str(given.by), refuse_after=NO_WAY_FORWARD)
        _require_own(given, done)  # somebody else, or the end of the time, may have been quicker
        return done

    def recorded(release: str) -> Event | None:
        there = answered(ledger, release)
        return there if there is not None and there.data["run"] == given.run else None

    return ask(ledger, plan, given, recorded=recorded, accept=accept)


def _require_own(given: Answer, there: Event) -> None:
    if there.data["run"] != given.run:
        what = f"{there.data['by']} has answered: {there.data['decision']}: {there.data['reason']}"
        raise given.refused(what, "an answer is final; release again")


def _require_open(ledger: Ledger, plan: Plan, release: str, given: Answer) -> Event:
    """The question."""
    if plan.rollback.one_way_door is None:
        raise given.refused(f"plan {plan.name} has no one-way door", "nothing waits for an answer")
    before = answered(ledger, release)
    if before is not None:
        _require_own(given, before)
    require_going(ledger, release, given)
    asked = ledger.last(release, ASKED, KEY)
    if asked is None:
        raise given.refused("was not asked yet", "wait until its task is deferred")
    return asked


def put(release: Release) -> Event:
    """Put the question; the one that was put first, with its time, stays."""
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
                where=release.id,
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
