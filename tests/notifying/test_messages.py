"""What people are told: made of the ledger, once for what it is about, and nothing that a client sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from roundtrip.notifying import messages
from roundtrip.notifying.messages import Message
from roundtrip.notifying.telling import notify
from roundtrip.release import Release
from roundtrip.rollout import one_way_door
from tests.notifying.conftest import People

SAID_BY_A_CLIENT = "card 4111-1111"


def taken_back(people: People, *, drill: bool = False) -> Release:
    """A release that failed in production (a drill: in staging), and is being taken back."""
    release = people.release("file", drill=drill)
    place = "simulated_staging" if drill else "simulated_production"
    ledger = release.ledger
    ledger.append_once(release.id, "deployed", place, {"version": "1.1.0"})
    verdict = {
        "verdict": "FAIL",
        "reason": "api-errors: canary 12 of 80, stable 1 of 700",
        "environment": place,
    }
    ledger.append_once(release.id, "gate.verdict", "production.wave_1", verdict)
    ledger.append(release.id, "task.failed", {"task": "x", "error": f"answered with {SAID_BY_A_CLIENT}"})
    ledger.append_once(release.id, "rollback.begun", "rollback", {"why": "a gate failed", "stages": []})
    attempt(release)
    return release


def attempt(release: Release) -> None:
    release.ledger.take_token("simulated_production", release=release.id, holder="rollback.begin")


def all_of(release: Release) -> list[Message]:
    ends = ("PROMOTED", "ROLLED BACK", "BROKEN", "STOPPED")
    return [
        messages.started(release),
        messages.waits(release),
        *messages.breaches(release),
        messages.rollback_begun(release),
        *(messages.ended(release, outcome) for outcome in ends),
        messages.post_mortem_due(release),
        messages.github_failed(release, "shown"),
    ]


def test_a_breach_has_the_gate_the_evidence_and_the_environment(people: People) -> None:
    (breach,) = messages.breaches(taken_back(people))
    assert breach.subject == "gate production.wave_1 says FAIL of Small 1.1.0 (simulated_production)"
    assert "What: api-errors: canary 12 of 80, stable 1 of 700.\n" in breach.body
    assert breach.stages == ("production",)


def test_a_door_is_told_with_its_sentence_where_to_answer_and_until_when(people: People) -> None:
    release = people.release("file")
    sentence = "orders of 1.1.0 carry a field that 1.0.0 cannot read"
    rollback = release.plan.rollback.model_copy(update={"one_way_door": sentence, "acceptance_seconds": 90})
    release = replace(release, plan=release.plan.model_copy(update={"rollback": rollback}))
    asked = one_way_door.put(release)
    told = messages.waits(release)
    assert f"What: {sentence}.\n" in told.body
    assert "Dags > one_way_door_small > Trigger" in told.body
    assert f"rejected at {asked.at + timedelta(seconds=90):%Y-%m-%d %H:%M:%S} UTC" in told.body


def test_a_gate_that_did_not_say_fail_is_no_breach(people: People) -> None:
    release = people.release("file")
    for verdict in ("PASS", "INCONCLUSIVE"):
        data = {"verdict": verdict, "reason": "", "environment": "simulated_production"}
        release.ledger.append_once(release.id, "gate.verdict", verdict, data)
    assert messages.breaches(release) == []


def test_a_lapse_is_told_as_a_breach_once(people: People) -> None:
    release = people.release("file")
    about = {"environment": "simulated_production", "reason": "nobody has renewed the lease for 60 s"}
    for _ in range(2):
        release.ledger.append_once(release.id, "watchdog.lapsed", "simulated_production", about)
    (breach,) = messages.breaches(release)
    assert breach.subject == "the watchdog takes Small 1.1.0 back (simulated_production)"
    assert "What: nobody has renewed the lease for 60 s.\n" in breach.body
    assert breach.stages == ("production",)


def test_no_text_of_an_error_is_told(people: People) -> None:
    for message in all_of(taken_back(people)):
        assert SAID_BY_A_CLIENT not in message.subject + message.body


def test_every_moment_says_since_when_and_where_to_look(people: People) -> None:
    release = taken_back(people)
    told = all_of(release)
    assert {message.moment for message in told} == set(messages.Moment)
    for message in told:
        assert "Look at: " in message.body and "dossier.html" in message.body
    begun = messages.rollback_begun(release)
    assert "Since: 20" in begun.body
    assert "What: a gate failed.\n" in begun.body


def test_a_drill_says_so_first_and_tells_nobody_of_production(people: People) -> None:
    for message in all_of(taken_back(people, drill=True)):
        assert message.subject.startswith("Drill: ")
        assert message.stages == ("staging",)


def test_a_second_attempt_to_take_it_back_is_told_the_breach_is_not_told_twice(people: People) -> None:
    release = taken_back(people)
    for _ in range(2):
        for _ in range(2):
            notify(release, messages.rollback_begun(release))
            notify(release, messages.breaches(release)[0])
            notify(release, messages.ended(release, "BROKEN"))
        attempt(release)
    assert [line["moment"] for line in people.written()] == [
        "rollback-begun",
        "breach",
        "broken",
        "rollback-begun",
        "broken",
    ]


def test_a_rollback_whose_beginning_was_not_recorded_is_told_as_that(people: People) -> None:
    release = people.release("file")
    release.ledger.append_once(release.id, "deployed", "simulated_staging", {"version": "1.1.0"})
    begun = messages.rollback_begun(release)
    assert begun.stages == ("staging",)
    assert "Since: not recorded" in begun.body
