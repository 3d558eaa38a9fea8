"""Behind a one-way door nothing goes forward without a person's acceptance, whatever else happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.errors import DoorError, PlanError, PromotionError, StaleTokenError
from roundtrip.ledger.ledger import Ledger, utc_now
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan
from roundtrip.production import rollout
from roundtrip.release import Release
from roundtrip.rollout import one_way_door, outcome
from roundtrip.rollout.one_way_door import Answer

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
DOOR = "orders of 1.1.0 carry a field that 1.0.0 cannot read"
PRODUCTION = load_environment(INCLUDE / "environments" / "local_production.yaml").model_copy(
    update={"one_way_door_by": ["ada"]}
)
WHY = "the field is not read by 1.0.0 within the day"
YES = Answer("run-1", "ada", "r1", "accept", WHY)


def with_door(plan: Plan = PLAN, door: str | None = DOOR, **changes: object) -> Plan:
    rollback = plan.rollback.model_copy(update={"one_way_door": door, **changes})
    return plan.model_copy(update={"rollback": rollback})


def nothing(_: object) -> None:
    raise AssertionError("nothing of production is touched before the door is open")


def release_of(folder: Path, plan: Plan | None = None) -> Release:
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    plan = plan or with_door()
    ledger.append_once("r1", "release.started", "started", {"plan": plan.name})
    return Release("r1", plan, {"production": PRODUCTION}, ledger, Home(folder), nothing, nothing)


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_of(tmp_path)


def asked(release: Release) -> None:
    about = {"environment": "local_production", "door": DOOR, "plan": release.plan.name, "seconds": 60}
    release.ledger.append_once("r1", one_way_door.ASKED, one_way_door.KEY, about)


def answer(at: Release, given: Answer = YES, **changes: object) -> str:
    return one_way_door.answer(at.ledger, at.plan, replace(given, **changes), allowed=lambda _: ["ada"]).data[
        "decision"
    ]


def waited(release: Release, *, meanwhile: Callable[[], object] = lambda: None, pauses: int = 0) -> list[str]:
    """What was said; `meanwhile` happens after so many pauses, each of which takes a minute."""
    said: list[str] = []
    now, slept = utc_now(), 0

    async def sleep(_: float) -> None:
        nonlocal now, slept
        now += timedelta(minutes=1)
        slept += 1
        if slept == pauses:
            meanwhile()

    asyncio.run(one_way_door.wait(release, said.append, clock=lambda: now, sleep=sleep))
    return said


FORWARD = (rollout.verify, rollout.merge, rollout.snapshot, rollout.flags_on)


@pytest.mark.parametrize("step", FORWARD)
def test_nothing_of_production_goes_on_without_an_answer(release: Release, step: Callable[..., None]) -> None:
    for kind in ("build.sbom", "build.checksums", "checklist.passed"):
        release.ledger.append("r1", kind, {})
    for service in release.plan.services:
        release.ledger.append_once("r1", "build.reproduced", service, {"same": True})
    with pytest.raises(PromotionError) as caught:
        step(release)
    assert step is rollout.flags_on or "one-way door: expected an acceptance" in str(caught.value)


def test_the_door_opens_with_an_acceptance_in_a_name_and_with_a_reason(release: Release) -> None:
    said = waited(release, meanwhile=lambda: answer(release), pauses=3)
    assert said[0].startswith(f"one-way door: {DOOR}; waits until ")
    assert said[-1] == f"accept by ada: {WHY}"
    one_way_door.require_accepted(release)
    event = one_way_door.answered(release.ledger, "r1")
    assert event is not None
    assert (event.actor, event.data["by"], event.data["reason"]) == ("ada", "ada", WHY)


def test_a_rejection_ends_it(release: Release) -> None:
    with pytest.raises(PromotionError, match="ada rejected it"):
        waited(release, meanwhile=lambda: answer(release, action="reject"), pauses=1)
    with pytest.raises(PromotionError, match="ada rejected it"):
        one_way_door.require_accepted(release)


def test_no_answer_in_time_is_a_no_however_often_it_is_asked_anew(tmp_path: Path) -> None:
    release = release_of(tmp_path, with_door(acceptance_seconds=600))
    began = utc_now()

    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        waited(release, meanwhile=kill, pauses=5)
    with pytest.raises(PromotionError, match="nobody rejected it"):
        waited(release)
    first = release.ledger.last("r1", one_way_door.ASKED)
    assert first is not None
    assert first.at - began < timedelta(seconds=60)
    assert one_way_door.answered(release.ledger, "r1").data["reason"] == "not answered within 600 s"
    with pytest.raises(DoorError, match="nobody has answered: reject"):
        answer(release)


@pytest.mark.parametrize("kind", ["rollback.begun", "watchdog.lapsed"])
def test_a_release_that_is_taken_back_waits_for_nobody(release: Release, kind: str) -> None:
    asked(release)
    release.ledger.append("r1", kind, {"why": "x"})
    with pytest.raises(PromotionError, match=kind):
        waited(release)
    with pytest.raises(DoorError, match="the release is over"):
        answer(release)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"by": None}, "Airflow names nobody"),
        ({"by": "eve"}, "eve may not answer in local_production; allowed: ada"),
        ({"action": "maybe"}, "expected one of accept, reject, got 'maybe'"),
        ({"reason": "because"}, "expected a reason of 10 to"),
    ],
)
def test_what_is_refused_is_recorded_and_answers_nothing(
    release: Release, changes: dict[str, object], problem: str
) -> None:
    asked(release)
    for _ in range(2):
        with pytest.raises(DoorError, match=problem):
            answer(release, **changes)
    assert len(release.ledger.events("r1", kind="action.refused")) == 1
    assert one_way_door.answered(release.ledger, "r1") is None
    assert answer(release, run="run-2") == "accept"


def test_what_was_not_asked_is_not_answered(release: Release) -> None:
    with pytest.raises(DoorError, match="was not asked yet"):
        answer(release)
    with pytest.raises(DoorError, match="no release 'r9'"):
        answer(release, release="r9")


def test_the_first_answer_stays_and_the_same_run_gives_it_again(release: Release) -> None:
    asked(release)
    assert answer(release) == "accept"
    assert answer(release) == "accept"
    with pytest.raises(DoorError, match="ada has answered: accept"):
        answer(release, run="run-2", action="reject")
    assert len(release.ledger.events("r1", kind="approval")) == 1


def test_an_answer_that_came_too_late_is_refused_and_not_taken_for_one(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time ends between the look and the answer."""
    asked(release)
    before = one_way_door.answered
    looks = iter([None])
    monkeypatch.setattr(one_way_door, "answered", lambda *of: next(looks, None) or before(*of))

    def allowed(_: str) -> list[str]:
        one_way_door._too_late(release, 60)
        return ["ada"]

    with pytest.raises(DoorError, match="nobody has answered: reject: not answered within 60 s"):
        one_way_door.answer(release.ledger, release.plan, YES, allowed=allowed)
    assert [e.data["by"] for e in release.ledger.events("r1", kind="action.refused")] == ["ada"]


def test_an_acceptance_is_of_the_sentence_that_was_asked(release: Release) -> None:
    asked(release)
    answer(release)
    one_way_door.require_accepted(release)
    other = replace(
        release, plan=with_door(door="fills of 1.1.0 are in another currency, which 1.0.0 adds up")
    )
    with pytest.raises(PromotionError, match=f"ada answered to another sentence .{DOOR}"):
        one_way_door.require_accepted(other)


def test_a_release_that_could_not_be_taken_back_says_too_what_nobody_can(release: Release) -> None:
    release.ledger.append_once("r1", "deployed", "local_production", {"version": "1.1.0"})
    release.ledger.append_once("r1", "rollback.begun", "rollback", {"why": "a gate failed"})
    ended = outcome.decide(release)
    assert ended.outcome is outcome.Outcome.BROKEN
    assert ended.reason.endswith(f"a gate failed; not restored, as was accepted: {DOOR}")


def test_a_plan_without_a_door_asks_nobody(tmp_path: Path) -> None:
    release = release_of(tmp_path, PLAN)
    one_way_door.require_accepted(release)
    one_way_door.refuse_unanswerable(release)
    asked(release)
    with pytest.raises(DoorError, match="has no one-way door"):
        answer(release)


def test_a_door_that_nobody_may_open_is_refused_at_the_start(release: Release) -> None:
    one_way_door.refuse_unanswerable(release)
    nobody = PRODUCTION.model_copy(update={"one_way_door_by": []})
    with pytest.raises(PlanError, match="nobody may accept it"):
        one_way_door.refuse_unanswerable(replace(release, environments={"production": nobody}))
    drill = replace(release, environments={"staging": nobody})
    one_way_door.refuse_unanswerable(drill)


def test_what_was_not_restored_is_in_the_outcome(release: Release) -> None:
    ledger = release.ledger
    ledger.append_once("r1", "deployed", "local_production", {"version": "1.1.0"})
    ledger.append_once("r1", "rollback.begun", "rollback", {"why": "a gate failed"})
    ledger.append_once("r1", "rollback.verified", "local_production", {})
    ended = outcome.decide(release)
    assert ended.outcome is outcome.Outcome.ROLLED_BACK
    assert ended.reason == f"a gate failed; not restored, as was accepted: {DOOR}"


events = st.sampled_from(["ask", "accept", "reject", "begin", "lapse", "eve"])


@settings(deadline=None, max_examples=60)
@given(order=st.lists(events, max_size=8))
def test_no_order_of_events_without_an_acceptance_opens_it(
    order: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    release = release_of(tmp_path_factory.mktemp("door"))
    accepted = answered = is_asked = closed = False
    for number, what in enumerate(order):
        run = f"run-{number}"
        if what == "ask":
            asked(release)
            is_asked = True
        elif what in ("begin", "lapse"):
            release.ledger.append(
                "r1", "rollback.begun" if what == "begin" else "watchdog.lapsed", {"why": ""}
            )
            closed = True
        else:
            changes = {"by": "eve"} if what == "eve" else {"action": what}
            try:
                answer(release, run=run, **changes)
            except (DoorError, StaleTokenError):
                continue
            assert is_asked and not closed and not answered and what != "eve"
            answered, accepted = True, what == "accept"
    if accepted:
        one_way_door.require_accepted(release)
    else:
        with pytest.raises(PromotionError):
            one_way_door.require_accepted(release)
