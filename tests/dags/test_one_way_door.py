"""A plan with a one-way door has a task that waits before production, and a DAG by which a person answers it.

The DAG goes through Airflow's own scheduling decisions; the answer's task runs under Airflow's own supervisor.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.api.datamodels._generated import TaskInstance as RunnableTask
from airflow.sdk.execution_time.supervisor import run_task_in_process
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState as State
from sqlalchemy import select

from gates.acceptance import AcceptanceSensor, AcceptanceTrigger
from gates.sensor import GRACE
from roundtrip.errors import PromotionError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.rollout import one_way_door
from sections.plans import PLANS, dags
from tests.dags.scheduler import ROOT, Run, load
from tests.dags.signed import PLAN as SMALL

DOOR = "orders of 1.1.0 carry a field that 1.0.0 cannot read"
PUT = "production.put_one_way_door"
TASK = "production.accept_one_way_door"
LOCAL = "top_tier_trading_1_1_0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the small plan, with a door."""
    made = tmp_path_factory.mktemp("plans")
    plan = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
    plan["name"] = "door"
    plan["rollback"] |= {"one_way_door": DOOR, "acceptance_seconds": 3600}
    (made / "door.yaml").write_text(yaml.safe_dump(plan), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def release(metadata_database: None, folder: Path) -> Any:
    return load("release", "release", folder)


@pytest.fixture(scope="module")
def form(metadata_database: None, folder: Path) -> Any:
    return load("one_way_door", "one_way_door", folder)


def test_it_waits_in_the_triggerer_before_anything_of_production(release: Any) -> None:
    task = release.get_task(TASK)
    assert isinstance(task, AcceptanceSensor)
    assert task.start_from_trigger
    assert task.start_trigger_args.timeout == timedelta(seconds=3600) + GRACE
    assert task.downstream_task_ids == {"production.verify"}
    assert task.upstream_task_ids >= {PUT}
    section = [one for one in release.tasks if one.task_id.startswith("production.")]
    for one in [one for one in section if one.task_id not in (TASK, PUT)]:
        assert TASK in one.get_flat_relative_ids(upstream=True), one.task_id


def test_without_an_acceptance_production_is_not_touched_and_staging_is_taken_back(release: Any) -> None:
    run = Run(release, "rejected")
    run.go_on(
        lambda task: (
            State.FAILED
            if task.task_id in (TASK, "production.require_promoted", "outcome")
            else State.SUCCESS
        )
    )
    assert "production.verify" not in run.order
    assert "production.snapshot" not in run.order
    assert run.states()["rollback.begin"] == "success"


def test_a_plan_without_a_door_has_neither_the_task_nor_the_dag(metadata_database: None) -> None:
    assert not {TASK, PUT} & set(load("release", "release").task_ids)
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("dags_door", ROOT / "dags" / "one_way_door.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert dags(module.one_way_door, PLANS) == {}


def test_the_form_shows_what_is_accepted_defaults_to_no_and_has_no_field_for_who_answers(form: Any) -> None:
    assert set(form.params) == {"release", "decision", "reason"}
    assert DOOR in form.doc_md
    assert form.params["decision"] == "reject"
    assert form.schedule is None
    assert form.is_paused_upon_creation is False
    for name in form.params:
        field = form.params.get_param(name)
        assert field.schema["title"] and field.description, name


def test_an_answer_of_a_plan_that_asks_nobody_fails_with_its_reason(
    form: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step reads the plan of this checkout by name, and that one has no door."""
    home = Home(tmp_path / "home")
    monkeypatch.setenv("ROUNDTRIP_HOME", str(home.root))
    ledger = Ledger(home.ledger_url)
    ledger.append_once("r1", "release.started", "started", {"plan": LOCAL})
    task = form.get_task("answer")
    monkeypatch.setattr(task, "plan", LOCAL)
    conf = {"release": "r1", "decision": "accept", "reason": "it has been weighed by all of us"}
    Run(form, "answer", conf)
    with create_session() as session:
        ti = session.scalar(
            select(TaskInstance).where(TaskInstance.dag_id == form.dag_id, TaskInstance.run_id == "answer")
        )
        ti.get_dagrun(session=session).triggering_user_name = "ada"
        ti.set_state(State.QUEUED, session=session)
        names = ("id", "task_id", "dag_id", "run_id", "try_number", "map_index", "dag_version_id")
        runnable = RunnableTask(**{name: getattr(ti, name) for name in names})
    result = run_task_in_process(ti=runnable, task=task)
    assert result.ti.state.value == "failed"
    assert "has no one-way door" in str(result.error)
    [refused] = ledger.events("r1", kind="action.refused")
    assert (refused.actor, refused.data["action"]) == ("ada", "accept")


def triggered(trigger: AcceptanceTrigger) -> Any:
    async def first() -> Any:
        async for event in trigger.run():
            return event
        return None

    return asyncio.run(first())


def test_the_trigger_ends_as_the_answer_says_and_can_be_serialised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROUNDTRIP_HOME", str(tmp_path / "home"))
    trigger = AcceptanceTrigger(plan=LOCAL, release_id="r1", environment="local")
    path, kwargs = trigger.serialize()
    assert path == "gates.acceptance.AcceptanceTrigger"
    assert AcceptanceTrigger(**kwargs).serialize() == (path, kwargs)

    async def accepted(release: Any, say: Any) -> None:
        assert release.id == "r1"

    async def rejected(release: Any, say: Any) -> None:
        raise PromotionError("ada rejected it")

    monkeypatch.setattr(one_way_door, "wait", accepted)
    assert isinstance(triggered(trigger), TaskSuccessEvent)
    monkeypatch.setattr(one_way_door, "wait", rejected)
    ended = triggered(trigger)
    assert isinstance(ended, TaskFailedEvent)
    assert ended.xcoms == {"reason": "PromotionError: ada rejected it"}
