"""docker-compose.yaml in a real engine: it comes up, a worker does the tasks, a release is carried out and taken back, and it goes
down. Told in order, since it takes minutes to come up: each test goes on where the one before has left it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
import requests

from roundtrip.ledger.ledger import Event
from roundtrip.release import release_id
from tests.containers import stack as stacks
from tests.containers.stack import Stack

WHY_NONE = stacks.why_none()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(WHY_NONE is not None, reason=WHY_NONE or ""),
]

T = TypeVar("T")
PLAN = "top_tier_trading_1_1_0"
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
STANDS_ON = ("postgres", "redis", "registry", "engine-proxy")
RUN_LIMIT_SECONDS = 300
RELEASE_LIMIT_SECONDS = 3600
POLL_SECONDS = 1.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stacks.stack(tmp_path_factory.mktemp("stack")) as made:
        made.up(*AIRFLOW, *STANDS_ON)
        try:
            yield made
        finally:
            made.down()


def wait_for(what: str, seen: Callable[[], T | None], limit_seconds: float) -> T:
    """What is seen at last."""
    deadline = time.monotonic() + limit_seconds
    while (found := seen()) is None:
        assert time.monotonic() < deadline, f"not within {limit_seconds:g} s: {what}"
        time.sleep(POLL_SECONDS)
    return found


def ended(stack: Stack, dag: str, run: str, limit_seconds: float) -> str:
    """How a run has ended."""

    def state() -> str | None:
        now = stack.api.run_state(dag, run)
        return now if now in ("success", "failed") else None

    return wait_for(f"the end of {dag} {run}", state, limit_seconds)


def start(stack: Stack, dag: str, run: str, conf: dict[str, str]) -> None:
    wait_for(f"DAG {dag}", lambda: dag if dag in stack.api.dag_ids() else None, RUN_LIMIT_SECONDS)
    stack.api.unpause(dag)
    stack.api.trigger(dag, run, conf)


def outcome(stack: Stack, release: str) -> Event:
    found = stack.ledger.last(release, "release.outcome")
    assert found is not None
    return found


def test_all_of_it_is_healthy_and_the_plans_dags_are_there(stack: Stack) -> None:
    assert stack.health() == dict.fromkeys((*AIRFLOW, *STANDS_ON), "healthy")
    wait_for("DAGs", lambda: stack.api.dag_ids() or None, RUN_LIMIT_SECONDS)
    assert {f"release_{PLAN}", f"rollback_{PLAN}", "probe"} <= stack.api.dag_ids()
    assert stack.api.import_errors() == []


def test_a_task_runs_on_the_worker_and_reaches_the_engine_by_the_filter_only(stack: Stack) -> None:
    start(stack, "probe", "first", {})
    assert ended(stack, "probe", "first", RUN_LIMIT_SECONDS) == "success"


def test_no_secret_is_in_an_argument(stack: Stack) -> None:
    values = [file.read_text() for file in (stack.checkout / "secrets").iterdir()]
    for service in (*AIRFLOW, *STANDS_ON):
        commands = stack.processes(service)
        assert commands
        assert not [c for c in commands if any(value in c for value in values)], service


@pytest.mark.end_to_end
def test_the_environments_come_up_and_prometheus_watches_them(stack: Stack) -> None:
    stack.up("environments", "prometheus")
    query = {"query": "up"}

    def watched() -> set[str] | None:
        answer = requests.get(f"{stack.url('PROMETHEUS_PORT')}/api/v1/query", query, timeout=10).json()
        up = {one["metric"]["environment"] for one in answer["data"]["result"] if one["value"][1] == "1"}
        return up if len(up) == 2 else None

    assert wait_for("both proxies", watched, RUN_LIMIT_SECONDS) == {"compose_staging", "compose_production"}


@pytest.mark.end_to_end
def test_a_release_is_carried_out_and_taken_back_by_tasks_in_containers(stack: Stack) -> None:
    dag, run = f"release_{PLAN}", "20261128T000000"
    release = release_id(dag, run)
    start(stack, dag, run, {"environment": "compose"})
    assert ended(stack, dag, run, RELEASE_LIMIT_SECONDS) == "success"
    assert outcome(stack, release).data["outcome"] == "PROMOTED"

    back = {"release": release, "reason": "a test takes it back", "environment": "compose"}
    start(stack, f"rollback_{PLAN}", run, back)
    assert ended(stack, f"rollback_{PLAN}", run, RELEASE_LIMIT_SECONDS) == "success"
    assert outcome(stack, release).data["outcome"] == "ROLLED BACK"


def test_down_leaves_nothing_that_runs(stack: Stack) -> None:
    stack.down()
    assert stack.client.containers.list() == []
    of_project = {"label": f"com.docker.compose.project={stacks.PROJECT}"}
    assert stack.client.containers.list(all=True, filters=of_project) == []
    assert stack.client.networks.list(filters=of_project) == []
    assert stack.client.volumes.list(filters=of_project) == []
    assert not any(_listens(stack, port) for port in stacks.PORTS)


def _listens(stack: Stack, port: str) -> bool:
    try:
        requests.get(stack.url(port), timeout=5)
    except requests.ConnectionError:
        return False
    return True
