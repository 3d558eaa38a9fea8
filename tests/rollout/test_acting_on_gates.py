"""Who may act on a gate, when, on which, within which bounds; what is refused is recorded and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roundtrip.errors import GateActionError, StaleTokenError
from roundtrip.gates.actions import asked
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.loading import load_plan
from roundtrip.rollout.gate_actions import Asked, act
from tests.dags.signed import PLAN

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RELEASE = "release_small.manual__2026-03-01T11-00-00-00-00"
RUN = "manual__2026-03-01T11:00:00+00:00"
GATE = "production.wave_1"
WHY = "the numbers are fine, the traffic is low"
PAUSE = Asked("run-1", "ada", RELEASE, "pause", WHY, at=NOON, gate_id=GATE, minutes=10)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A release whose gate has begun: 5 minutes of deadline, 20 minutes of pauses."""
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", clock=lambda: NOON)
    plan = load_plan(PLAN)
    settings = plan.gates["wave"].model_copy(
        update={"deadline_seconds": 300.0, "longest_pause_seconds": 1200.0}
    )
    made.append_once(RELEASE, "release.started", "started", {"plan": "small"})
    about = {"environment": "simulated_production", "canary": "1.1.0", "stable": "1.0.0", "baselines": {}}
    made.append_once(RELEASE, "gate.started", GATE, {**about, "gate": settings.model_dump(mode="json")})
    return made


def nobody(_: str) -> list[str]:
    return []


def ask(ledger: Ledger, wanted: Asked, *, minutes_later: float = 0, overrides_by=nobody):
    now = wanted.at + timedelta(minutes=minutes_later)
    return act(ledger, load_plan(PLAN), wanted, overrides_by=overrides_by, now=now)


def runs(wanted: Asked) -> Iterator[Asked]:
    """The same, in run after run."""
    number = 0
    while True:
        number += 1
        yield replace(wanted, run=f"{wanted.action}-{number}")


def refused(ledger: Ledger, wanted: Asked, match: str, **changes) -> GateActionError:
    """Refused, with the refusal and nothing else in the ledger."""
    before = ledger.verify()
    with pytest.raises(GateActionError, match=match) as caught:
        ask(ledger, wanted, **changes)
    assert [(e.kind, e.key) for e in ledger.events(RELEASE, after=before)] == [("action.refused", wanted.run)]
    event = ledger.last(RELEASE, "action.refused", wanted.run)
    assert (event.data["by"], event.data["why"]) == (wanted.by, caught.value.what)
    assert event.actor == (wanted.by or "nobody")
    return caught.value


def test_a_pause_is_one_event_with_who_when_until_and_why(ledger):
    done = ask(ledger, PAUSE, minutes_later=1)
    event = ledger.last(RELEASE, "gate.action", "run-1")
    assert event.actor == "ada"
    assert event.data == {
        "gate_id": GATE,
        "action": "pause",
        "minutes": 10,
        "reason": WHY,
        "by": "ada",
        "at": "2026-03-01T12:01:00+00:00",
        "until": "2026-03-01T12:10:00+00:00",
    }
    assert asked(ledger, RELEASE, GATE) == (done,)
    assert asked(ledger, RELEASE, "production.wave_2") == ()


def test_a_run_that_is_run_again_acts_once(ledger):
    first = ask(ledger, PAUSE)
    count = ledger.verify()
    assert ask(ledger, PAUSE, minutes_later=60) == first
    assert ledger.verify() == count


def test_the_release_may_be_named_by_its_run_in_airflow(ledger):
    ask(ledger, replace(PAUSE, release=f" {RUN} "))
    assert len(asked(ledger, RELEASE, GATE)) == 1


def test_a_reason_of_several_lines_is_recorded_in_one(ledger):
    assert (
        ask(ledger, replace(PAUSE, reason="the traffic\nis   low today")).reason == "the traffic is low today"
    )


@pytest.mark.parametrize("by", [None, ""])
def test_nobody_is_refused(ledger, by):
    refused(ledger, replace(PAUSE, by=by), "Airflow names nobody who triggered this run")


def ended(kind: str) -> Callable[[Ledger], object]:
    return lambda ledger: ledger.append_once(RELEASE, kind, "it", {"outcome": "PROMOTED"})


def decided(ledger: Ledger) -> None:
    data = {"verdict": "FAIL", "reason": "errors: canary 9 of 10", "metrics": {}}
    ledger.append_once(RELEASE, "gate.verdict", GATE, data)


WHEN = {
    "promoted": (
        ended("promoted"),
        {},
        "the release is over: promoted is in the ledger since 2026-03-01 12:00:00 UTC",
    ),
    "taken back": (ended("rollback.begun"), {}, "the release is over: rollback.begun"),
    "ended": (ended("release.outcome"), {}, "the release is over: release.outcome"),
    "decided": (decided, {}, "is decided: FAIL: errors: canary 9 of 10"),
    "not begun": (lambda _: None, {"gate_id": "production.soak"}, f"has not begun; begun are: {GATE}"),
}


@pytest.mark.parametrize(("happens", "changes", "match"), WHEN.values(), ids=WHEN)
@pytest.mark.parametrize("action", ["pause", "extend", "override", "resume"])
def test_a_gate_that_is_not_waiting_is_refused(ledger, happens, changes, match, action):
    happens(ledger)
    wanted = replace(PAUSE, action=action, minutes=1, **changes)
    refused(ledger, wanted, match, overrides_by=lambda _: ["ada"])


def test_a_run_that_comes_after_its_time_does_nothing(ledger):
    refused(ledger, PAUSE, "asked for at 12:00:00 UTC for 10 min, and that is over", minutes_later=10)
    assert ask(ledger, replace(PAUSE, run="run-2"), minutes_later=9.9).until == NOON + timedelta(minutes=10)


def test_a_refused_run_stays_refused_whoever_clears_it_later(ledger):
    override = replace(PAUSE, action="override", minutes=240)
    refused(ledger, override, "ada may not override")
    count = ledger.verify()
    with pytest.raises(GateActionError, match="was refused before: ada may not override"):
        ask(ledger, override, overrides_by=lambda _: ["ada"])
    assert ledger.verify() == count


FORM = {
    "an unknown action": (
        {"action": "promote"},
        "expected one of pause, extend, override, resume, got 'promote'",
    ),
    "no time": ({"minutes": 0}, "expected 1 to 240 minutes, got 0"),
    "no end": ({"minutes": 241}, "expected 1 to 240 minutes, got 241"),
    "no reason": ({"reason": "  because \n "}, "expected a reason of 10 to 500 characters, got 7"),
    "a novel": ({"reason": "x" * 501}, "got 501"),
}


@pytest.mark.parametrize(("changes", "match"), FORM.values(), ids=FORM)
def test_what_the_form_would_not_take_is_refused(ledger, changes, match):
    refused(ledger, replace(PAUSE, **changes), match)


def test_a_release_that_is_not_there_or_of_another_plan_is_refused_and_gets_no_event(ledger):
    ledger.append_once("other", "release.started", "started", {"plan": "large"})
    count = ledger.verify()
    with pytest.raises(GateActionError, match="no release 'relaese' has begun"):
        ask(ledger, replace(PAUSE, release="relaese"))
    with pytest.raises(
        GateActionError, match=r"expected one of plan small, got one of large .*gate_action_large"
    ):
        ask(ledger, replace(PAUSE, release="other"))
    assert ledger.verify() == count


def test_all_pauses_together_are_bounded_and_what_a_resume_gave_back_may_be_used_again(ledger):
    run = runs(PAUSE)
    ask(ledger, next(run))
    ask(ledger, replace(next(run), at=NOON + timedelta(minutes=5)))
    refused(
        ledger,
        replace(next(run), at=NOON + timedelta(minutes=14), minutes=7),
        "pauses of 1260 s together, at most 1200 s are allowed",
    )
    resume = replace(PAUSE, run="resume", action="resume", at=NOON + timedelta(minutes=6))
    assert ask(ledger, resume).until == resume.at
    last = ask(ledger, replace(next(run), at=NOON + timedelta(minutes=14), minutes=14))
    assert last.until == NOON + timedelta(minutes=28)


def test_a_resume_needs_a_pause(ledger):
    refused(ledger, replace(PAUSE, action="resume"), "is not paused")


def test_extensions_together_double_the_deadline_at_most(ledger):
    ledger.append_once(RELEASE, "gate.sample", f"{GATE}#0", {"at": (NOON + timedelta(seconds=5)).isoformat()})
    run = runs(replace(PAUSE, action="extend", minutes=2))
    assert ask(ledger, next(run)).until == NOON + timedelta(seconds=425)
    assert ask(ledger, next(run)).until == NOON + timedelta(seconds=545)
    refused(ledger, next(run), "120 s more; of the 300 s that may be added 60 s are left")
    ask(ledger, replace(PAUSE, run="pause"))
    last = ask(ledger, replace(next(run), minutes=1, at=NOON + timedelta(seconds=30)))
    assert last.until == NOON + timedelta(seconds=5 + 600 + 30)


def test_an_override_needs_the_leave_of_the_environment_that_the_gate_is_in(ledger):
    override = replace(PAUSE, action="override")
    seen: list[str] = []

    def by(environment: str) -> list[str]:
        seen.append(environment)
        return ["ada", "bo"]

    error = refused(ledger, replace(override, by="eve", run="run-0"), "eve may not override", overrides_by=by)
    assert "a gate in simulated_production; allowed: ada, bo" in str(error)
    assert ask(ledger, override, overrides_by=by).by == "ada"
    assert seen == ["simulated_production", "simulated_production"]


def test_where_nobody_is_named_nobody_overrides(ledger):
    refused(ledger, replace(PAUSE, action="override"), "ada may not override .*; allowed: nobody")


def test_a_gate_that_somebody_paused_is_not_overridden_before_it_is_resumed(ledger):
    ask(ledger, replace(PAUSE, by="bo"))
    override = replace(PAUSE, run="run-2", action="override")
    error = refused(ledger, override, "is paused by bo until 12:10:00 UTC", overrides_by=lambda _: ["ada"])
    assert "resume it first" in error.remedy


def test_a_rollback_that_begins_meanwhile_wins(ledger, tmp_path):
    """Between the checks and the event: the ledger itself refuses, in the transaction that would append it."""

    class Late(Ledger):
        def append_once(self, release, kind, key, data, **options):
            if kind == "gate.action":
                ended("rollback.begun")(ledger)
            return super().append_once(release, kind, key, data, **options)

    late = Late(f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(StaleTokenError, match=r"rollback\.begun is in the ledger"):
        ask(late, PAUSE)
    assert ledger.last(RELEASE, "gate.action") is None
