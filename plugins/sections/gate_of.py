"""Makes the sensor of one gate of the plan."""

from __future__ import annotations

from datetime import timedelta

from gates.sensor import GateSensor
from roundtrip.plan.model import Plan


def gate_of(
    plan: Plan, task_id: str, *, gate_id: str, gate: str, stage: str, sentence: str, least_seconds: float = 0
) -> GateSensor:
    """The gate `gate` of the plan as the task `task_id`; it waits at least `least_seconds` (a soak).

    Airflow's limit leaves room for all that people may add: a second deadline, and the longest pause.
    """
    settings = plan.gates[gate]
    latest_seconds = 2 * (settings.deadline_seconds + least_seconds) + settings.longest_pause_seconds
    return GateSensor(
        task_id=task_id,
        gate_id=gate_id,
        gate=gate,
        stage=stage,
        plan=plan.name,
        sentence=sentence,
        deadline=timedelta(seconds=latest_seconds),
    )
