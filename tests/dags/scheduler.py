"""Airflow's own scheduling decisions, in this process: real DAGs, real trigger rules, real task states.

Nothing is executed by Airflow here. `run` asks the DAG run what may be scheduled, lets `carry_out` do it and writes
the state that it returns, until the run has ended; so every path a task's state can take is tried in seconds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from airflow.dag_processing.collection import update_dag_parsing_results_in_db
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import clear_task_instances
from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from sections.plans import dags

ROOT = Path(__file__).resolve().parents[2]
PLANS = Path(__file__).parent / "plans"
ROUNDS = 400
"""Scheduling rounds after which a run counts as stuck."""

CarryOut = Callable[[Any], TaskInstanceState]
"""What a task does when it is its turn, and the state that it ends in."""


def load(name: str, builder: str, folder: Path = PLANS) -> DAG:
    """The DAG that `dags/<name>.py` makes of the small plan, or of the one in `folder`."""
    spec = importlib.util.spec_from_file_location(f"dags_{name}", ROOT / "dags" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = dags(getattr(module, builder), folder)
    assert len(made) == 1
    return next(iter(made.values()))


@cache
def scheduled(dag: DAG) -> Any:
    """The DAG as the scheduler has it: serialised into the metadata database, and read back."""
    with create_session() as session:
        if session.get(DagBundleModel, "tests") is None:
            session.add(DagBundleModel(name="tests"))
            session.commit()
        dag.fileloc = str(ROOT / "dags" / "release.py")
        dag.relative_fileloc = "release.py"
        lazy = LazyDeserializedDAG.from_dag(dag)
        update_dag_parsing_results_in_db("tests", None, [lazy], {}, None, set(), session)
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


class Run:
    """One DAG run; `done` are the states of the tasks that have had their turn before it is looked at."""

    def __init__(
        self,
        dag: DAG,
        run_id: str,
        conf: dict[str, Any] | None = None,
        *,
        done: Mapping[str, str] | None = None,
    ) -> None:
        self.dag = dag
        self.run_id = run_id
        self.order: list[str] = []
        self._scheduled = scheduled(dag)
        with create_session() as session:
            self._scheduled.create_dagrun(
                run_id=run_id,
                run_after=datetime.now(UTC),
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.TEST,
                state=DagRunState.RUNNING,
                conf=conf,
                session=session,
            )
            for ti in self._run(session).get_task_instances(session=session):
                if done and ti.task_id in done:
                    ti.state = TaskInstanceState(done[ti.task_id])

    def go_on(self, carry_out: CarryOut) -> str:
        """Schedule until the run has ended; returns its state, whose colour a person sees."""
        for _ in range(ROUNDS):
            with create_session() as session:
                run = self._run(session)
                ready, _callback = run.update_state(session=session, execute_callbacks=False)
                if run.state != DagRunState.RUNNING:
                    return str(run.state)
                for ti in sorted(ready, key=lambda ti: ti.task_id):
                    ti.state = TaskInstanceState.RUNNING
                    session.flush()
                    self.order.append(ti.task_id)
                    ti.state = carry_out(self.dag.get_task(ti.task_id))
                    session.flush()
        raise AssertionError(f"the run did not end in {ROUNDS} rounds, last: {self.order[-5:]}")

    def clear(self, task_id: str) -> None:
        """As a person does: the task and everything after it is to run again."""
        after = self.dag.get_task(task_id).get_flat_relative_ids(upstream=False)
        with create_session() as session:
            run = self._run(session)
            cleared = [
                ti for ti in run.get_task_instances(session=session) if ti.task_id in {task_id, *after}
            ]
            clear_task_instances(cleared, session, dag_run_state=DagRunState.RUNNING)
            self._run(session).state = DagRunState.RUNNING

    def states(self) -> dict[str, str]:
        with create_session() as session:
            return {
                ti.task_id: str(ti.state) for ti in self._run(session).get_task_instances(session=session)
            }

    def _run(self, session: Any) -> DagRun:
        run = session.scalar(
            select(DagRun).where(DagRun.dag_id == self.dag.dag_id, DagRun.run_id == self.run_id)
        )
        assert run is not None
        run.dag = self._scheduled
        return run
