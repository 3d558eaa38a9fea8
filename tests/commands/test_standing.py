"""What `status` says on a machine where nothing was started, and where a file cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip import durable, lease
from roundtrip.commands.prepare import Machine
from roundtrip.commands.standing import standing
from tests.commands.conftest import SimulatedMachine


@pytest.fixture
def local(machine: SimulatedMachine) -> Machine:
    """The real machine of the same state folder."""
    return Machine(machine.home, machine.plan, machine.environments, machine.say)


def held(machine: Machine) -> Path:
    """The file of production's lease."""
    environment = machine.environment("production")
    return lease.folder_of(machine.home.environment(environment.name)) / lease.HELD


def test_a_machine_where_nothing_was_started_says_so(local: Machine) -> None:
    there = standing(local)
    assert there.lines() == [
        "Airflow: was never started; ./roundtrip up starts it",
        "local_staging: is down",
        "local_production: is down",
        "no release was started yet",
    ]
    assert there.to_json()["watched"] == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"release": "r1"}'])
def test_a_lease_that_cannot_be_read_is_named_and_the_rest_is_still_told(
    local: Machine, content: str
) -> None:
    durable.write(held(local), content)
    there = standing(local)
    assert set(there.watched) == {"local_production"}
    assert str(held(local)) in there.watched["local_production"]
    *_, production, release = there.lines()
    assert production == f"local_production: is down watched: {there.watched['local_production']}"
    assert release == "no release was started yet"
