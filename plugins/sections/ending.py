"""How a release ends: it is taken back unless production has promoted it, and its outcome is stated whatever came before."""

from __future__ import annotations

from airflow.sdk import DAG, TaskGroup, chain

from roundtrip.plan.model import Plan
from sections.rollback import rollback
from sections.steps_of import StepsOf


def ending(dag: DAG, plan: Plan, into_production: TaskGroup) -> None:
    """The rollback and the outcome, behind `into_production`."""
    back = rollback(
        plan,
        why="a task or gate of {{ dag.dag_id }} failed",
        asks_first="rollback.restoring:is_needed",
    )
    outcome = StepsOf(plan)(
        "outcome",
        "closing:close",
        "States the outcome from the ledger, writes the dossier; the run is red unless it was promoted.",
        trigger_rule="all_done",
    )
    chain(
        [dag.get_task("production.promote"), dag.get_task("production.require_promoted")],
        back.get_child_by_label("begin"),
    )
    chain([back, into_production], outcome)
