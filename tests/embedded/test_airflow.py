"""The embedded Airflow, for real: up, its DAGs, every component killed, down."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import create_engine, text

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.embedded.airflow import COMPONENTS, EmbeddedAirflow
from roundtrip.embedded.heartbeats import JOBS
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.supervision.leftovers import with_variable

pytestmark = pytest.mark.airflow
ROOT = Path(__file__).resolve().parents[2]
BACK_LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAirflow]:
    made = EmbeddedAirflow(Home(tmp_path_factory.mktemp("airflow") / "home"), ROOT)
    try:
        made.up()
        yield made
    finally:
        made.down()
        assert left_of(made) == []


def left_of(airflow: EmbeddedAirflow) -> list[str]:
    """Command lines of what still runs, workers of killed schedulers and PostgreSQL included."""
    belongs = with_variable("AIRFLOW_HOME", airflow.environment()["AIRFLOW_HOME"])
    left = []
    for process in psutil.process_iter():
        try:
            if belongs(process) or airflow.postgres.owns(process):
                left.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return left


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BACK_LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {BACK_LIMIT_SECONDS} s for {what}"
        time.sleep(0.1)


def test_every_plan_has_its_dags_and_no_import_error(airflow: EmbeddedAirflow) -> None:
    api = AirflowApi(airflow.login())
    plan = "top_tier_trading_1_1_0"
    wanted = {
        f"{kind}_{plan}"
        for kind in ("release", "rollback", "gate_action", "staging_rehearsal", "nightly_rehearsal")
    }
    wait(lambda: wanted <= api.dag_ids(), "the DAGs to be parsed")
    assert api.import_errors() == []


def test_who_triggers_a_gate_action_is_in_the_ledger_when_its_run_has_ended(airflow: EmbeddedAirflow) -> None:
    plan, release, gate_id = "top_tier_trading_1_1_0", "release_of_this_test", "staging.canary"
    ledger = Ledger(Home(Path(airflow.environment()["ROUNDTRIP_HOME"])).ledger_url)
    gate = load_plan(ROOT / "include" / "plans" / f"{plan}.yaml").gates["staging-canary"]
    about = {"environment": "local_staging", "canary": "1.1.0", "stable": "1.0.0", "baselines": {}}
    ledger.append_once(release, "release.started", "started", {"plan": plan})
    ledger.append_once(release, "gate.started", gate_id, {**about, "gate": gate.model_dump(mode="json")})
    api, dag_id = AirflowApi(airflow.login()), f"gate_action_{plan}"
    wait(lambda: dag_id in api.dag_ids(), "the DAG to be parsed")
    form = {
        "release": release,
        "gate": gate_id,
        "action": "pause",
        "minutes": 5,
        "reason": "to look at it first",
    }
    api.trigger(dag_id, "by-hand", form)
    wait(lambda: api.run_state(dag_id, "by-hand") in ("success", "failed"), "the run to end")
    assert api.run_state(dag_id, "by-hand") == "success"
    [event] = ledger.events(release, kind="gate.action")
    assert (event.actor, event.key, event.data["by"]) == ("admin", "by-hand", airflow.login().user)


def test_without_a_login_nothing_is_answered(airflow: EmbeddedAirflow) -> None:
    answer = httpx.get(f"{airflow.login().url}/api/v2/dags", trust_env=False)
    assert answer.status_code == 401


def test_up_again_changes_no_process(airflow: EmbeddedAirflow) -> None:
    before = {name: process.pid for name, process in airflow.daemon.processes().items()}
    airflow.up()
    assert {name: process.pid for name, process in airflow.daemon.processes().items()} == before


@pytest.mark.parametrize("component", ["postgres", *COMPONENTS])
def test_a_killed_component_is_back_and_healthy(airflow: EmbeddedAirflow, component: str) -> None:
    pid = airflow.daemon.processes()[component].pid
    os.kill(pid, signal.SIGKILL)
    wait(lambda: airflow.daemon.processes()[component].pid not in (0, pid), f"{component} to be started")
    wait(lambda: airflow._unhealthy() == [], f"Airflow to be healthy without its first {component}")


@pytest.mark.parametrize("component", ["scheduler", "triggerer"])
def test_a_component_killed_after_the_clock_was_put_back_is_known_to_be_dead(
    airflow: EmbeddedAirflow, component: str
) -> None:
    """Its last heartbeat is of an hour that comes: what it left would wait as long."""
    engine, job_type = create_engine(airflow.postgres.url), JOBS[component]
    newest = text("SELECT max(id) FROM job WHERE job_type = :job")
    ahead = text("UPDATE job SET latest_heartbeat = now() + interval '1 hour' WHERE id = :id")
    state = text("SELECT latest_heartbeat > now() FROM job WHERE id = :id")
    with engine.begin() as connection:
        dead = connection.execute(newest, {"job": job_type}).scalar_one()
        os.kill(airflow.daemon.processes()[component].pid, signal.SIGKILL)
        connection.execute(ahead, {"id": dead})

    def is_of_the_past() -> bool:
        with engine.connect() as connection:
            return not connection.execute(state, {"id": dead}).scalar_one()

    wait(is_of_the_past, f"the killed {component}'s heartbeat to be forgotten")
    wait(lambda: airflow._unhealthy() == [], f"Airflow to be healthy with another {component}")
    engine.dispose()


def test_up_after_the_supervisor_was_killed_ends_what_it_left_and_starts_anew(
    airflow: EmbeddedAirflow,
) -> None:
    before = [psutil.Process(process.pid) for process in airflow.daemon.processes().values()]
    os.kill(int((airflow.daemon.folder / "supervisord.pid").read_text()), signal.SIGKILL)
    wait(lambda: not airflow.is_up(), "the supervisor to be gone")
    airflow.up()
    assert airflow._unhealthy() == []
    # An init that is slow to collect them may still show them as zombies.
    assert [p for p in before if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
