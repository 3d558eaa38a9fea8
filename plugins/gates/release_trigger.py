"""What waits for something of one release, in the triggerer: it opens the release, waits, and says how it ended.

Rules:
1. What ends the wait with an error is in the ledger before Airflow is told, as it is for a step on a worker: the
   outcome has to name it.
2. The task fails on every error of ours, also when the ledger cannot take it.
3. The secrets that a trigger may fetch are those of the servers that it reads, by Airflow's asynchronous interface: the
   synchronous one would hold up every other trigger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TriggerEvent

if TYPE_CHECKING:
    from roundtrip.release import Release


class ReleaseTrigger(BaseTrigger):
    """Of one release; a subclass says what is waited for.

    :param waits_as: what the ledger calls the task.
    """

    def __init__(self, *, waits_as: str, plan: str, release_id: str, environment: str) -> None:
        super().__init__()
        self.waits_as = waits_as
        self.plan = plan
        self.release_id = release_id
        self.environment = environment

    async def carry_out(self, release: Release) -> TriggerEvent:
        """Wait, and return what ends the task. Raises RoundtripError."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio

        from roundtrip.errors import RoundtripError
        from roundtrip.gates import turns
        from steps.failing import record
        from steps.opening import no_secrets, open_release

        release = None
        try:
            async with turns.opening():
                release = await asyncio.to_thread(
                    open_release, self.release_id, self.plan, self.environment, no_secrets
                )
            event = await self.carry_out(release)
        except RoundtripError as error:
            if release is not None:
                await asyncio.to_thread(record, release, self.waits_as, error, self.log, once=True)
            self.log.error("%s", error)
            event = TaskFailedEvent(xcoms={"reason": str(error)})
        yield event
