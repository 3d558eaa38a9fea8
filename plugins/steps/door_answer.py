"""The step of the DAG by which a person answers a one-way door (`roundtrip.rollout.one_way_door`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steps.form_step import FormStep, environment_of

if TYPE_CHECKING:
    from roundtrip.ledger.ledger import Ledger
    from roundtrip.plan.model import Plan


class DoorAnswerStep(FormStep):
    """Records the answer that the form gives."""

    def record(self, ledger: Ledger, plan: Plan, run: Any, form: Any) -> str:
        from roundtrip.rollout.one_way_door import Answer, answer

        given = Answer(
            run=run.run_id,
            by=run.triggering_user_name,
            release=form["release"],
            action=form["decision"],
            reason=form["reason"],
        )
        done = answer(ledger, plan, given, allowed=lambda name: environment_of(name).one_way_door_by)
        return f"{done.data['decision']} by {done.data['by']}: {done.data['reason']}"
