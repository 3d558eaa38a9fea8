"""The one step of the DAG by which a person acts on a gate: it says who, and calls `roundtrip.rollout.gate_actions`.

Rules:
1. Who acts is who triggered the run. The form has no field for it, and so has nobody who may only fill in the form.
2. Where a release is has been recorded when the gate began: the form cannot name an environment with other rights.
3. What is refused fails here with its reason as the last line, is not tried again, and is no failure of the release:
   its own ledger gets `action.refused`, never `task.failed`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from steps.section_step import RETRIES, RETRY_DELAY, ended_by

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

TIMEOUT = timedelta(minutes=2)


class GateActionStep(BaseOperator):
    """Records what the DAG run's form asks of a gate.

    :param plan: name of the plan file, without folder and ending.
    """

    ui_color = "#fdf3d7"

    def __init__(self, *, plan: str, sentence: str, **kwargs: Any) -> None:
        kwargs.setdefault("retries", RETRIES)
        kwargs.setdefault("retry_delay", RETRY_DELAY)
        kwargs.setdefault("execution_timeout", TIMEOUT)
        super().__init__(doc_md=sentence, **kwargs)
        self.plan = plan

    def execute(self, context: Context) -> None:
        from roundtrip.errors import RoundtripError
        from roundtrip.ledger.ledger import utc_now
        from roundtrip.plan.loading import load_plan
        from roundtrip.rollout.gate_actions import Asked, act
        from steps.opening import INCLUDE, home, open_ledger

        run, form = context["dag_run"], context["params"]
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
        try:
            plan = load_plan(INCLUDE / "plans" / f"{self.plan}.yaml")
            done = act(open_ledger(home()), plan, wanted, overrides_by=overrides_by, now=utc_now())
        except RoundtripError as error:
            raise ended_by(error) from error
        self.log.info(
            "%s: %s. The gate hears it with its next sample and says so in its log.",
            wanted.gate_id,
            done.sentence(),
        )


def overrides_by(environment: str) -> Collection[str]:
    """Who may override a gate in the environment of this name, as its file says now. Raises PlanError."""
    from roundtrip.plan.loading import load_environment
    from steps.opening import INCLUDE

    return load_environment(INCLUDE / "environments" / f"{environment}.yaml").gate_overrides_by
