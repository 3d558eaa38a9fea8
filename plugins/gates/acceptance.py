"""The one-way door as a task: it starts and ends in the triggerer, as a gate does, and takes no worker while it waits.

Rules:
1. It succeeds only when the ledger has an acceptance; a rejection, no answer in time and every error end it as failed.
2. Started again, on this triggerer or another, it goes on with the time that was left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from gates.release_trigger import ReleaseTrigger
from gates.sensor import TriggeredSensor

if TYPE_CHECKING:
    from roundtrip.release import Release


class AcceptanceTrigger(ReleaseTrigger):
    """Waits for the answer to one release's door."""

    def __init__(self, **of_release: str) -> None:
        super().__init__(waits_as="production.accept_one_way_door", **of_release)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("plan", "release_id", "environment")
        return "gates.acceptance.AcceptanceTrigger", {name: getattr(self, name) for name in names}

    async def carry_out(self, release: Release) -> TriggerEvent:
        from roundtrip.rollout.one_way_door import wait

        await wait(release, self.log.info)
        return TaskSuccessEvent()


class AcceptanceSensor(TriggeredSensor):
    """Waits until a person has accepted the plan's one-way door."""

    def __init__(self, *, plan: str, **kwargs: Any) -> None:
        super().__init__(trigger="gates.acceptance.AcceptanceTrigger", given={"plan": plan}, **kwargs)
