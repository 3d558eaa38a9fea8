"""On a schedule: staging with a fault injected, which has to be detected and taken back within the plan's budget."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param, chain

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
        schedule="0 3 * * *",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
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


globals().update(dags(rehearsal))
