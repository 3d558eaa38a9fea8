"""What waits as a task: it never runs on a worker, so it takes no slot while it waits.

Deferring from a worker is not used: a sensor that resumes soon can be failed by its executor's late report
(apache/airflow issues 67287, 71580, 72716). `start_from_trigger` starts and ends it in the triggerer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.triggers.base import StartTriggerArgs

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context

GRACE = timedelta(minutes=5)


class TriggeredSensor(BaseSensorOperator):
    """Waits in the triggerer for something of one release.

    :param trigger: the trigger's class, as `module.Class`; it is given `release_id` and `environment` beside `given`.
    :param given: plain values.
    :param deadline: what is waited for has one of its own; Airflow's timeout is this and a grace, as the last resort.
    """

    template_fields: Sequence[str] = ("release_id", "environment")
    start_from_trigger = True
    ui_color = "#fdf3d7"

    def __init__(
        self,
        *,
        trigger: str,
        given: Mapping[str, str],
        sentence: str,
        deadline: timedelta,
        release_id: str = "{{ dag.dag_id }}.{{ run_id | replace(':', '-') | replace('+', '-') }}",
        environment: str = "{{ params.environment }}",
        **kwargs: Any,
    ) -> None:
        super().__init__(doc_md=sentence, **kwargs)
        self.release_id = release_id
        self.environment = environment
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls=trigger,
            trigger_kwargs={**given, "release_id": release_id, "environment": environment},
            next_method="execute",
            timeout=deadline + GRACE,
        )

    def execute(self, context: Context) -> None:
        raise RuntimeError(f"{self.task_id} was started on a worker; it starts and ends in the triggerer")


class GateSensor(TriggeredSensor):
    """Waits for the verdict of one gate of the plan.

    :param gate_id: the gate's id in the ledger, unique in a release.
    :param gate: name of the gate in the plan.
    :param stage: staging or production.
    :param deadline: with all that people may add.
    """

    def __init__(self, *, gate_id: str, gate: str, stage: str, plan: str, **kwargs: Any) -> None:
        given = {"gate_id": gate_id, "gate": gate, "stage": stage, "plan": plan}
        super().__init__(trigger="gates.trigger.GateTrigger", given=given, **kwargs)
