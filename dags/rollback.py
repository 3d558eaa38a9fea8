"""The same rollback, by hand, for a release already promoted or one whose own rollback could not finish."""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from roundtrip.plan.model import Plan
from sections.plans import dags
from sections.rollback import rollback
from sections.steps_of import StepsOf


def take_back(plan: Plan) -> DAG:
    """The rollback DAG of a plan."""
    release = {"release_id": "{{ params.release }}"}
    with DAG(
        f"rollback_{plan.name}",
        description=f"{plan.platform} {plan.to_version} → {plan.from_version}",
        schedule=None,
        max_active_runs=1,
        tags=["roundtrip", "rollback"],
        params={
            "release": Param(
                type="string",
                minLength=1,
                description="id of the release to take back, as its dossier names it",
            ),
            "reason": Param(type="string", minLength=10, description="why; it goes into the ledger"),
            "environment": Param("local", type="string", description="prefix of the environments' names"),
        },
    ) as dag:
        back = rollback(
            plan,
            why="{{ params.reason }}",
            trigger_rule="all_success",
            asks_first="rollback.restoring:is_needed_by_hand",
            **release,
        )
        outcome = StepsOf(plan, **release)(
            "outcome",
            "closing:close_rollback",
            "States the outcome from the ledger and writes the dossier again.",
            trigger_rule="all_done",
        )
        chain(back, outcome)
    return dag


globals().update(dags(take_back))
