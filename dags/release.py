"""One DAG per plan: checklist >> build >> staging >> sign >> production, and rollback when any of it fails."""

from __future__ import annotations

from airflow.sdk import DAG, Param, chain

from roundtrip.plan.model import Plan
from sections.build import build
from sections.checklist import checklist
from sections.ending import ending
from sections.plans import dags
from sections.production import production
from sections.sign import sign
from sections.staging import staging


def release(plan: Plan) -> DAG:
    """The release DAG of a plan."""
    with DAG(
        f"release_{plan.name}",
        description=f"{plan.platform} {plan.from_version} → {plan.to_version}",
        doc_md=f"Carries out “{plan.document}”, and takes it back when a gate fails.",
        schedule=None,
        max_active_runs=1,
        tags=["roundtrip", "release"],
        params={
            "environment": Param("local", type="string", description="prefix of the environments' names"),
            # Null, so that the trigger's form asks for none: it takes an empty text for a field left out.
            "fault": Param(
                None,
                type=["null", "string"],
                description="for a drill: the fault that the release branch carries; otherwise left empty",
            ),
        },
    ) as dag:
        into_production = production(plan)
        chain(checklist(plan), build(plan), staging(plan), sign(plan), into_production)
        ending(dag, plan, into_production)
    return dag


globals().update(dags(release))
