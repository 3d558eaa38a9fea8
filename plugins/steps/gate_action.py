"""The step of the DAG by which a person acts on a gate (`roundtrip.rollout.gate_actions`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steps.form_step import FormStep, environment_of

if TYPE_CHECKING:
    from roundtrip.ledger.ledger import Ledger
    from roundtrip.plan.model import Plan


class GateActionStep(FormStep):
    """Records what the form asks of a gate."""

    def record(self, ledger: Ledger, plan: Plan, run: Any, form: Any) -> str:
        from roundtrip.ledger.ledger import utc_now
        from roundtrip.rollout.gate_actions import Asked, act

        wanted = Asked(
            run=run.run_id,
            by=run.triggering_user_name,
            at=run.run_after,
            release=form["release"],
            gate_id=form["gate"],
            action=form["action"],
            minutes=form["minutes"],
            reason=form["reason"],
        )
        done = act(
            ledger,
            plan,
            wanted,
            overrides_by=lambda name: environment_of(name).gate_overrides_by,
            now=utc_now(),
        )
        return f"{wanted.gate_id}: {done.sentence()}. The gate hears it with its next sample and says so in its log."
