"""By hand, for a release that waits at its one-way door: accept in your name what cannot be taken back, or reject it."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from roundtrip.gates.actions import LONGEST_REASON, SHORTEST_REASON
from roundtrip.plan.model import Plan
from sections.plans import dags
from steps.door_answer import DoorAnswerStep

DECISIONS = {
    "reject": "reject: the release is taken back, production is not touched",
    "accept": "accept: it goes to production, and this cannot be taken back any more",
}


def one_way_door(plan: Plan) -> DAG | None:
    """The DAG by which a person answers; None for a plan without a door."""
    door = plan.rollback.one_way_door
    if door is None:
        return None
    with DAG(
        f"one_way_door_{plan.name}",
        description=f"{plan.platform} {plan.to_version}: accept or reject what cannot be taken back",
        doc_md=f"**{door}**\n\nWho you are is taken from your login; your name has to be in `one_way_door_by` of the environment. "
        "An answer is final.",
        schedule=None,
        max_active_runs=1,
        # It runs when a person asks and never by itself; at three in the morning nobody looks for a switch first.
        is_paused_upon_creation=False,
        tags=["roundtrip", "gate"],
        params={
            "release": Param(
                type="string",
                minLength=1,
                title="Release",
                description="its id, or the id of its run in Airflow; the log of the task that waits names it",
            ),
            "decision": Param(
                "reject",
                type="string",
                enum=list(DECISIONS),
                values_display=DECISIONS,
                title="Decision",
                description="final, whichever it is",
            ),
            "reason": Param(
                type="string",
                minLength=SHORTEST_REASON,
                maxLength=LONGEST_REASON,
                title="Reason",
                description="why; it stands beside your name in the ledger and the dossier, so no secrets",
            ),
        },
    ) as dag:
        DoorAnswerStep(
            task_id="answer",
            plan=plan.name,
            sentence="Checks who answers and of which release, and records it; the release hears it within seconds.",
        )
    return dag


globals().update(dags(one_way_door))
