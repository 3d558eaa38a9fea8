"""A drill runs when somebody asks for it: by the command, in the UI, or every night once a person has unpaused that."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from airflow.serialization.serialized_objects import DagSerialization

from tests.dags.scheduler import load


@pytest.fixture
def drill(metadata_database: None) -> Any:
    return load("staging_rehearsal", "rehearsal")


@pytest.fixture
def nightly(metadata_database: None) -> Any:
    return load("staging_rehearsal", "nightly_rehearsal")


def test_a_drill_that_the_command_unpaused_never_runs_by_itself(drill: Any) -> None:
    assert drill.schedule is None
    assert drill.is_paused_upon_creation is False
    assert DagSerialization.from_dict(DagSerialization.to_dict(drill)).timetable.can_be_scheduled is False


def test_the_night_is_asked_for_by_a_person_and_starts_the_same_drill(drill: Any, nightly: Any) -> None:
    assert nightly.is_paused_upon_creation is True
    [task] = nightly.tasks
    assert task.trigger_dag_id == drill.dag_id
    assert task.fail_when_dag_is_paused is True, "a drill that only waits is no drill"


@pytest.mark.parametrize("at", ["02:59", "03:01", "05:23", "12:00", "23:59"])
def test_whenever_it_is_unpaused_it_runs_in_the_next_night_and_not_at_once(
    nightly: Any, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduled = DagSerialization.from_dict(DagSerialization.to_dict(nightly))
    now = datetime.fromisoformat(f"2026-03-01T{at}:00+00:00")
    monkeypatch.setattr("airflow.timetables.trigger.utcnow", lambda: now)
    first = scheduled.next_dagrun_info(last_automated_run_info=None, restricted=True)
    assert now < first.run_after <= now + timedelta(days=1)
    assert (first.run_after.hour, first.run_after.minute) == (3, 0)
