"""What runs next when a task ends as it may: the release DAG under Airflow's own scheduling decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.utils.state import TaskInstanceState as State

from tests.dags.scheduler import Run, load

ROLLBACK = ("begin", "pull_traffic", "stop_new_services", "deploy_last_known_good", "revert_state")


def ending(task_id: str, state: State) -> Callable[[Any], State]:
    """`task_id` ends in `state`; what asks the ledger for a promotion finds none, all others succeed."""
    return lambda task: (
        state
        if task.task_id == task_id
        else State.FAILED
        if task.task_id == "production.require_promoted"
        else State.SUCCESS
    )


@pytest.fixture(scope="module")
def dag(metadata_database: None) -> Any:
    return load("release", "release")


def test_when_everything_succeeds_the_rollback_is_skipped(dag: Any) -> None:
    run = Run(dag, "all-succeed")
    run.go_on(lambda _: State.SUCCESS)
    assert {state for name, state in run.states().items() if name.startswith("rollback.")} == {"skipped"}
    assert run.order[-1] == "outcome"


@pytest.mark.parametrize("state", [State.FAILED, State.SKIPPED], ids=["fails", "is skipped"])
@pytest.mark.parametrize(
    "task_id",
    [
        "staging.place_canary",
        "staging.gate",
        "sign.publish",
        "production.wave_1",
        "production.gate_1",
        "production.soak",
        "production.promote",
    ],
)
def test_what_fails_or_is_skipped_on_the_way_leads_to_the_rollback(
    dag: Any, task_id: str, state: State
) -> None:
    run = Run(dag, f"{task_id}-{state.value}")
    run.go_on(ending(task_id, state))
    assert [run.states()[f"rollback.{name}"] for name in ROLLBACK] == ["success"] * len(ROLLBACK)
    assert "production.post_launch" not in run.order
    assert run.order[-1] == "outcome"


def test_after_a_failed_gate_no_later_wave_is_started(dag: Any) -> None:
    run = Run(dag, "no-later-wave")
    run.go_on(ending("production.gate_1", State.FAILED))
    assert "production.wave_1" in run.order
    assert "production.wave_2" not in run.order


@pytest.mark.parametrize("task_id", ["rollback.begin", "rollback.pull_traffic", "rollback.stop_new_services"])
def test_a_rollback_goes_on_where_a_later_step_makes_up_for_the_failed_one(dag: Any, task_id: str) -> None:
    def carry_out(task: Any) -> State:
        return State.FAILED if task.task_id in (task_id, "production.gate_1", "outcome") else State.SUCCESS

    run = Run(dag, f"goes-on-{task_id}")
    assert run.go_on(carry_out) == "failed"
    assert run.states()["rollback.deploy_last_known_good"] == "success"
    assert run.states()["rollback.verify_restored"] == "success"


def test_a_rollback_that_cannot_finish_is_told_and_proves_nothing(dag: Any) -> None:
    def carry_out(task: Any) -> State:
        broken = ("production.gate_1", "rollback.deploy_last_known_good", "outcome")
        return State.FAILED if task.task_id in broken else State.SUCCESS

    run = Run(dag, "cannot-finish")
    assert run.go_on(carry_out) == "failed"
    assert run.states()["rollback.verify_restored"] == "upstream_failed"
    assert run.states()["rollback.communicate"] == "success"


def test_a_run_is_red_when_its_outcome_task_fails_whatever_came_before(dag: Any) -> None:
    assert Run(dag, "red").go_on(ending("outcome", State.FAILED)) == "failed"


def test_the_rollback_by_hand_stops_where_a_step_fails_and_still_states_its_outcome(
    metadata_database: None,
) -> None:
    run = Run(load("rollback", "take_back"), "by-hand", {"release": "r", "reason": "because it has to be"})
    run.go_on(ending("rollback.deploy_last_known_good", State.FAILED))
    assert run.states()["rollback.revert_state"] == "upstream_failed"
    assert run.order[-1] == "outcome"
