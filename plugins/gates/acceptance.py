"""The one-way door as a task: it starts and ends in the triggerer, as a gate does, and takes no worker while it waits.

Rules:
1. It succeeds only when the ledger has an acceptance; a rejection, no answer in time and every error end it as failed.
2. Started again, on this triggerer or another, it goes on with the time that was left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from gates.sensor import TriggeredSensor


class AcceptanceTrigger(BaseTrigger):
    """Waits for the answer to one release's door."""

    def __init__(self, *, plan: str, release_id: str, environment: str) -> None:
        super().__init__()
        self.plan = plan
        self.release_id = release_id
        self.environment = environment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("plan", "release_id", "environment")
        return "gates.acceptance.AcceptanceTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio

        from roundtrip.errors import RoundtripError
        from roundtrip.rollout.one_way_door import wait
        from steps.opening import no_secrets, open_release

        try:
            release = await asyncio.to_thread(
                open_release, self.release_id, self.plan, self.environment, no_secrets
            )
            await wait(release, self.log.info)
        except RoundtripError as error:
            self.log.error("%s", error)
            yield TaskFailedEvent(xcoms={"reason": str(error)})
            return
        yield TaskSuccessEvent()


class AcceptanceSensor(TriggeredSensor):
    """Waits until a person has accepted the plan's one-way door."""

    def __init__(self, *, plan: str, **kwargs: Any) -> None:
        super().__init__(trigger="gates.acceptance.AcceptanceTrigger", given={"plan": plan}, **kwargs)
