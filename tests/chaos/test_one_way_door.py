"""A plan with a one-way door, under real Airflow: nothing of production is touched before a person has answered, and what
follows is what the person said."""

from __future__ import annotations

import time

import pytest

from roundtrip.embedded.airflow import USER
from tests.chaos import observer
from tests.chaos.campaign import RELEASE_LIMIT_SECONDS
from tests.chaos.invariants import OUTCOMES, Seen, violations
from tests.chaos.stage import DOOR, Stage

pytestmark = pytest.mark.end_to_end

SEED = 20261127
WHY = "weighed by all of us who are in the room"


@pytest.mark.parametrize(("decision", "outcome"), [("accept", "PROMOTED"), ("reject", "STOPPED")])
def test_production_is_what_the_person_said(here: Stage, decision: str, outcome: str) -> None:
    door = here.behind_a_door
    door.reset()
    run_id = f"door-{decision}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}"
    with observer.Client(door.front_door, SEED) as client:
        release = door.begin(run_id)
        for event in observer.coming(door.ledger, release, limit_seconds=RELEASE_LIMIT_SECONDS):
            if event["kind"] == "door.asked":
                assert event["data"]["door"] == DOOR
                _require_untouched(door)
                answer = {"release": release, "decision": decision, "reason": WHY}
                door.trigger(f"one_way_door_{door.plan.name}", f"answer-{run_id}", answer)
            if event["kind"] == "release.outcome":
                break
        state = door.settled_state(run_id)
    events = observer.events(door.ledger, release)
    said = observer.last(events, "approval")
    assert (said["decision"], said["by"], said["reason"]) == (decision, USER, WHY)
    ended = str(observer.last(events, "release.outcome")["outcome"])
    assert ended == outcome
    seen = Seen(ended, state, events, client.account, is_harmful=False, fails_clients=False)
    assert list(violations(seen, door.front_door, door.redis_url, door.environment, door.ledger)) == []
    was_placed = any(event["kind"] == "deployed" for event in events)
    assert was_placed == (decision == "accept")


def _require_untouched(door: Stage) -> None:
    stable = OUTCOMES["STOPPED"]
    assert {version for _, version in observer.running(door.environment)} == {stable}
    assert set().union(*observer.served_versions(door.front_door).values()) == {stable}
