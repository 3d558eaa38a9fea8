"""Makes the steps of one section: each names the function that does it and the plan's sentence that it carries out."""

from __future__ import annotations

from typing import Any

from roundtrip.plan.model import Plan
from steps.section_step import SectionStep


class StepsOf:
    """Makes the steps of one plan, optionally for a release other than the DAG run's own."""

    def __init__(self, plan: Plan, **common: Any) -> None:
        self.plan = plan
        self._common = common

    def __call__(self, task_id: str, call: str, sentence: str, **options: Any) -> SectionStep:
        """A step; `call` is `module:function` below `roundtrip`."""
        return SectionStep(
            task_id=task_id,
            call=f"roundtrip.{call}",
            plan=self.plan.name,
            sentence=sentence,
            **{**self._common, **options},
        )
