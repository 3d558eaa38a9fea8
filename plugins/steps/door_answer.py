"""The one step of the DAG by which a person answers a one-way door: it says who, and calls `rollout.one_way_door`.

What `gate_action` says of who acts, and of what is refused, holds here too.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from steps.gate_action import TIMEOUT
from steps.section_step import RETRIES, RETRY_DELAY, ended_by

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


class DoorAnswerStep(BaseOperator):
    """Records the answer that the DAG run's form gives.

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
        from roundtrip.plan.loading import load_plan
        from roundtrip.rollout.one_way_door import Answer, answer
        from steps.opening import INCLUDE, home, open_ledger

        run, form = context["dag_run"], context["params"]
        given = Answer(
            run=run.run_id,
            by=run.triggering_user_name,
            release=form["release"],
            decision=form["decision"],
            reason=form["reason"],
        )
        try:
            plan = load_plan(INCLUDE / "plans" / f"{self.plan}.yaml")
            done = answer(open_ledger(home()), plan, given, allowed=answers_by)
        except RoundtripError as error:
            raise ended_by(error) from error
        self.log.info("%s by %s: %s", done.data["decision"], done.data["by"], done.data["reason"])


def answers_by(environment: str) -> Collection[str]:
    """Who may answer in the environment of this name, as its file says now. Raises PlanError."""
    from roundtrip.plan.loading import load_environment
    from steps.opening import INCLUDE

    return load_environment(INCLUDE / "environments" / f"{environment}.yaml").one_way_door_by
