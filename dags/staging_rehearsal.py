"""Staging with a fault injected, which has to be detected and taken back within the plan's budget; every night, if asked for.

Rules:
1. The drill itself has no schedule: `./roundtrip rehearse` unpauses it, and starts one drill and no other.
2. The schedule is a DAG of its own, paused until a person unpauses it: no machine rehearses at night unasked.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, CronTriggerTimetable, Param, chain

from roundtrip.plan.model import Plan
from sections.build import build
from sections.plans import dags
from sections.rollback import rollback
from sections.staging import staging
from sections.steps_of import StepsOf


def rehearsal(plan: Plan) -> DAG:
    """The drill DAG of a plan: its run is green when the fault was found and staging restored in time."""
    with DAG(
        f"staging_rehearsal_{plan.name}",
        description=f"{plan.platform} {plan.to_version}: drill in staging",
        schedule=None,
        max_active_runs=1,
        is_paused_upon_creation=False,
        tags=["roundtrip", "drill"],
        params={
            "environment": Param("local", type="string", description="prefix of the environments' names"),
            "fault": Param(
                "errors", enum=["errors", "latency", "crash"], description="the fault that is injected"
            ),
        },
    ) as dag:
        step = StepsOf(plan)
        opened = step(
            "open_drill",
            "rollout.opening:open_drill",
            "A release branch that carries a real bug, in a repository of the drill's own.",
            arguments={"fault": "{{ params.fault }}"},
        )
        into_staging = staging(plan)
        back = rollback(
            plan,
            why="drill: {{ params.fault }}",
            trigger_rule="all_done",
            asks_first="rollback.restoring:is_needed",
        )
        assessed = step(
            "assess",
            "closing:assess_drill",
            "The fault was found by the gate, and staging restored, within the plan's budget.",
            trigger_rule="all_done",
            retries=0,
        )
        chain(opened, build(plan), into_staging)
        chain(into_staging, back.get_child_by_label("begin"))
        chain(back, assessed)
    return dag


def nightly_rehearsal(plan: Plan) -> DAG:
    """Starts the plan's drill every night, once a person has unpaused it."""
    with DAG(
        f"nightly_rehearsal_{plan.name}",
        description=f"{plan.platform} {plan.to_version}: a drill every night at 03:00 UTC",
        # Without a start date and with no time to make up for, the first run is at the next 03:00. Left to itself, Airflow
        # would until 05:24 begin the one of this night at once.
        schedule=CronTriggerTimetable("0 3 * * *", "UTC", run_immediately=timedelta(0)),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=True,
        tags=["roundtrip", "drill"],
    ) as dag:
        TriggerDagRunOperator(
            task_id="rehearse",
            trigger_dag_id=f"staging_rehearsal_{plan.name}",
            logical_date=None,
            fail_when_dag_is_paused=True,
        )
    return dag


globals().update({**dags(rehearsal), **dags(nightly_rehearsal)})
