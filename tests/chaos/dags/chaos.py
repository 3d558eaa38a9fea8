"""Production and the way back, as `release` has them: what comes before was done once, and is in each release's ledger."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from roundtrip.plan.model import Plan
from sections.ending import ending
from sections.plans import dags
from sections.production import production


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
        ending(dag, plan, into_production)
    return dag


globals().update(dags(chaos))
