"""By hand, for a release that waits at its one-way door: accept in your name what cannot be taken back, or reject it."""

from __future__ import annotations

from airflow.sdk import DAG

from roundtrip.plan.model import Plan
from sections.forms import choice, form
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
    with form(
        f"one_way_door_{plan.name}",
        description=f"{plan.platform} {plan.to_version}: accept or reject what cannot be taken back",
        doc=f"**{door}**\n\nWho you are is taken from your login; your name has to be in `one_way_door_by` of the environment. "
        "An answer is final.",
        fields={"decision": choice("Decision", DECISIONS, "reject", "final, whichever it is")},
    ) as dag:
        DoorAnswerStep(
            task_id="answer",
            plan=plan.name,
            sentence="Checks who answers and of which release, and records it; the release hears it within seconds.",
        )
    return dag


globals().update(dags(one_way_door))
