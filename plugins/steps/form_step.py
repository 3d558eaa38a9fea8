"""The one step of a DAG whose run is a form that a person has filled in.

Rules:
1. Who asks is who triggered the run. The form has no field for it, and so has nobody who may only fill in the form.
2. Where a release is has been recorded when it was asked: the form cannot name an environment with other rights.
3. What is refused fails here with its reason as the last line, is not tried again, and is no failure of the release:
   its own ledger gets `action.refused`, never `task.failed`.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from steps.failing import ended_by
from steps.section_step import RETRIES, RETRY_DELAY

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

    from roundtrip.ledger.ledger import Ledger
    from roundtrip.plan.environment import Environment
    from roundtrip.plan.model import Plan

TIMEOUT = timedelta(minutes=2)


class FormStep(BaseOperator):
    """Records what the DAG run's form asks.

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
        from steps.opening import INCLUDE, home, open_ledger

        try:
            plan = load_plan(INCLUDE / "plans" / f"{self.plan}.yaml")
            done = self.record(open_ledger(home()), plan, context["dag_run"], context["params"])
        except RoundtripError as error:
            raise ended_by(error) from error.__cause__
        self.log.info("%s", done)

    @abstractmethod
    def record(self, ledger: Ledger, plan: Plan, run: Any, form: Any) -> str:
        """Record what is asked; what is said of it. Raises RoundtripError."""


def environment_of(name: str) -> Environment:
    """The environment of this name, as its file says now: what it allows counts from its change on. Raises PlanError."""
    from roundtrip.plan.loading import load_environment
    from steps.opening import INCLUDE

    return load_environment(INCLUDE / "environments" / f"{name}.yaml")
