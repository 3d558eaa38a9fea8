"""Production and the way back, as `release` has them: what comes before was done once, and is in each release's ledger."""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from roundtrip.plan.model import Plan
from sections.plans import dags
from sections.production import production
from sections.rollback import rollback
from sections.steps_of import StepsOf


def chaos(plan: Plan) -> DAG:
    """The DAG of a release that begins where production does."""
    with DAG(
        f"chaos_{plan.name}",
        schedule=None,
        max_active_runs=1,
        params={"environment": Param("chaos", type="string")},
    ) as dag:
        into_production = production(plan)
        # There is no staging here, with which production is compared first.
        dag.get_task("production.verify").call = "roundtrip.rollout.verdicts:require_ready"
        back = rollback(
            plan, why="a task or gate of {{ dag.dag_id }} failed", asks_first="rollback.restoring:is_needed"
        )
        outcome = StepsOf(plan)(
            "outcome", "closing:close", "States the outcome from the ledger.", trigger_rule="all_done"
        )
        chain(
            [dag.get_task("production.promote"), dag.get_task("production.require_promoted")],
            back.get_child_by_label("begin"),
        )
        chain([back, into_production], outcome)
    return dag


globals().update(dags(chaos))
