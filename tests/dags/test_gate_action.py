"""A person acts on a gate through Airflow: the form, who may trigger it, and who the ledger says it was.

The DAG goes through Airflow's own API with real logins, and its task runs under Airflow's own supervisor, in this process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.api.datamodels._generated import TaskInstance as RunnableTask
from airflow.sdk.execution_time.supervisor import run_task_in_process
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from fastapi.testclient import TestClient
from sqlalchemy import select

from gates.sensor import GRACE, GateSensor
from roundtrip.gates.actions import asked
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from sections.plans import PLANS
from tests.dags.scheduler import load, scheduled
from tests.dags.signed import PLAN as SMALL

PLAN = "top_tier_trading_1_1_0"
DAG_ID = f"gate_action_{PLAN}"
RELEASE = f"release_{PLAN}.by-hand"
GATE = "production.wave_1"
WHY = "the numbers are fine, the traffic is low"
FORM = {"release": RELEASE, "gate": GATE, "action": "pause", "minutes": 10, "reason": WHY}
PEOPLE = {"ada": "op", "eve": "op", "vic": "viewer"}


@pytest.fixture(scope="module")
def dag(metadata_database: None) -> Any:
    made = load("gate_action", "gate_action", PLANS)
    scheduled(made)
    return made


@pytest.fixture(scope="module")
def api(dag: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Airflow's API, where each of PEOPLE has a login; the name is the password."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    passwords = tmp_path_factory.mktemp("logins") / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in PEOPLE}))
    with pytest.MonkeyPatch.context() as settings:
        settings.setenv(
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS",
            ",".join(f"{name}:{role}" for name, role in PEOPLE.items()),
        )
        settings.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        settings.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "of this test, and long enough for HS512 " * 2)
        purge_cached_app()
        with TestClient(create_app("core")) as client:
            yield client
        purge_cached_app()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Of a home where a release waits for its first gate in production."""
    home = Home(tmp_path / "home")
    monkeypatch.setenv("ROUNDTRIP_HOME", str(home.root))
    made = Ledger(home.ledger_url)
    gate = load_plan(PLANS / f"{PLAN}.yaml").gates["production-wave"]
    made.append_once(RELEASE, "release.started", "started", {"plan": PLAN})
    about = {"environment": "local_production", "canary": "1.1.0", "stable": "1.0.0", "baselines": {}}
    made.append_once(RELEASE, "gate.started", GATE, {**about, "gate": gate.model_dump(mode="json")})
    return made


def trigger(api: TestClient, who: str, **form: Any) -> Any:
    """As the UI does, with what it got from the login page."""
    login = api.post("/auth/token", json={"username": who, "password": who})
    assert login.status_code == 201, login.text
    return api.post(
        f"/api/v2/dags/{DAG_ID}/dagRuns",
        json={"logical_date": None, "conf": {**FORM, **form}},
        headers={"Authorization": f"Bearer {login.json()['access_token']}"},
    )


def carry_out(dag: Any, run_id: str) -> tuple[str, str]:
    """Its task, under Airflow's supervisor and with what Airflow's execution API says of the run; its state and error."""
    with create_session() as session:
        ti = session.scalar(
            select(TaskInstance).where(TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run_id)
        )
        ti.set_state(TaskInstanceState.QUEUED, session=session)
        names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
        runnable = RunnableTask(**{name: getattr(ti, name) for name in names})
    result = run_task_in_process(ti=runnable, task=dag.get_task("act"))
    return result.ti.state.value, str(result.error or "")


def test_the_form_names_the_gates_of_the_plan_and_has_no_field_for_who_acts(dag: Any) -> None:
    assert set(dag.params) == {"release", "gate", "action", "minutes", "reason"}
    gates = dag.params.get_param("gate").schema["enum"]
    assert (gates[0], gates[-1]) == ("staging.canary", "production.soak")
    assert GATE in gates
    for name in dag.params:
        field = dag.params.get_param(name)
        assert field.schema["title"] and field.description, name
    assert dag.schedule is None
    assert dag.is_paused_upon_creation is False


MISTAKES = [
    {"gate": "production.wave_99"},
    {"action": "promote"},
    {"minutes": 0},
    {"minutes": 241},
    {"minutes": "ten"},
    {"reason": "because"},
    {"release": ""},
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_airflow_refuses_a_form_that_is_not_filled_in_as_it_should_be(api: TestClient, mistake: Any) -> None:
    answer = trigger(api, "ada", **mistake)
    assert answer.status_code == 400
    assert next(iter(mistake)) in answer.text or str(next(iter(mistake.values()))) in answer.text


def test_who_may_not_trigger_the_dag_does_not_act(api: TestClient, ledger: Ledger) -> None:
    assert trigger(api, "vic").status_code == 403
    assert asked(ledger, RELEASE, GATE) == ()


def test_the_ledger_names_who_was_logged_in_whatever_the_form_says(
    api: TestClient, dag: Any, ledger: Ledger
) -> None:
    answer = trigger(api, "ada", by="bo", triggering_user_name="bo")
    assert answer.status_code == 200, answer.text
    assert answer.json()["triggering_user_name"] == "ada"
    assert carry_out(dag, answer.json()["dag_run_id"]) == ("success", "")
    [event] = ledger.events(RELEASE, kind="gate.action")
    assert (event.actor, event.data["by"], event.key) == ("ada", "ada", answer.json()["dag_run_id"])
    assert (event.data["action"], event.data["minutes"], event.data["reason"]) == ("pause", 10, WHY)
    assert carry_out(dag, answer.json()["dag_run_id"]) == ("success", ""), "cleared and run again"
    assert len(ledger.events(RELEASE, kind="gate.action")) == 1


def test_an_override_where_the_environment_names_nobody_fails_at_once_and_is_no_failure_of_the_release(
    api: TestClient, dag: Any, ledger: Ledger
) -> None:
    answer = trigger(api, "eve", action="override")
    state, error = carry_out(dag, answer.json()["dag_run_id"])
    assert state == "failed", "not up_for_retry: trying again does not help"
    assert error.startswith(
        "GateActionError: eve may not override a gate in local_production; allowed: nobody"
    )
    assert ledger.events(RELEASE, kind="gate.action") == []
    [event] = ledger.events(RELEASE, kind="action.refused")
    assert event.actor == "eve"
    assert event.data["why"] == "eve may not override a gate in local_production; allowed: nobody"
    assert ledger.events(RELEASE, kind="task.failed") == []


def test_the_gates_of_the_form_are_those_of_the_release_and_airflow_waits_for_all_that_people_may_add(
    metadata_database: None,
) -> None:
    plan, release = load_plan(SMALL), load("release", "release")
    gates = [task for task in release.topological_sort() if isinstance(task, GateSensor)]
    ids = [task.start_trigger_args.trigger_kwargs["gate_id"] for task in gates]
    assert ids == list(plan.gate_ids())
    assert (
        tuple(load("gate_action", "gate_action").params.get_param("gate").schema["enum"]) == plan.gate_ids()
    )
    for task, soak in zip(gates, (0, 0, 0, plan.production.soak_seconds), strict=True):
        deadline, pause = 60 + soak, 14400
        assert task.start_trigger_args.timeout == timedelta(seconds=2 * deadline + pause) + GRACE
