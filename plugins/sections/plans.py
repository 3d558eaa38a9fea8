"""Makes the DAGs of the plans in `include/plans`, and an import error of a plan that cannot be read.

Rules:
1. A broken plan takes no other down: the good ones get their DAGs, the broken ones one import error in the UI.
2. Reading the plan files is all that happens when a DAG file is parsed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from roundtrip.errors import PlanError
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan

PLANS = Path(__file__).resolve().parents[2] / "include" / "plans"


class BrokenPlans(DAG):
    """Stands for plans that cannot be read; Airflow shows the error of `validate` as an import error."""

    def __init__(self, dag_id: str, errors: list[PlanError]) -> None:
        super().__init__(dag_id, schedule=None)
        self._plan_errors = errors

    def validate(self) -> None:
        raise PlanError("; ".join(str(error) for error in self._plan_errors))


def dags(build: Callable[[Plan], DAG | None], folder: Path = PLANS) -> dict[str, DAG]:
    """`build` of every plan in `folder`, by DAG id; None: this plan has no such DAG."""
    made: dict[str, DAG] = {}
    errors: list[PlanError] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            plan = load_plan(path)
        except PlanError as error:
            errors.append(error)
            continue
        dag = build(plan)
        if dag is not None:
            made[dag.dag_id] = dag
    if errors:
        broken: Any = BrokenPlans("broken_plans", errors)
        made[broken.dag_id] = broken
    return made
