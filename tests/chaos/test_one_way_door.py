"""A plan with a one-way door, under real Airflow: nothing of production is touched before a person has answered, and what
follows is what the person said."""

from __future__ import annotations

import pytest

from roundtrip.embedded.airflow import USER
from tests.chaos import observer
from tests.chaos.checkout import DOOR
from tests.chaos.invariants import OUTCOMES
from tests.chaos.releases import begun, outcome_of
from tests.chaos.stage import Stage

pytestmark = pytest.mark.end_to_end

SEED = 20261127
WHY = "weighed by all of us who are in the room"


@pytest.mark.parametrize(("decision", "outcome"), [("accept", "PROMOTED"), ("reject", "STOPPED")])
def test_production_is_what_the_person_said(here: Stage, decision: str, outcome: str) -> None:
    door = here.behind_a_door
    ended = None
    with begun(door, f"door-{decision}", SEED) as release:
        for event in release.coming():
            if event["kind"] == "door.asked":
                assert event["data"]["door"] == DOOR
                _require_untouched(door)
                answer = {"release": release.id, "decision": decision, "reason": WHY}
                door.trigger(f"one_way_door_{door.plan.name}", f"answer-{release.run_id}", answer)
            ended = outcome_of(event)
        state = release.settled_state()
    events = release.events()
    said = observer.last(events, "approval")
    assert (said["decision"], said["by"], said["reason"]) == (decision, USER, WHY)
    assert ended == outcome
    assert release.violations(ended, state) == []
    was_placed = any(event["kind"] == "deployed" for event in events)
    assert was_placed == (decision == "accept")


def _require_untouched(door: Stage) -> None:
    stable = OUTCOMES["STOPPED"]
    assert {version for _, version in door.ground.running()} == {stable}
    assert set().union(*observer.served_versions(door.front_door).values()) == {stable}
