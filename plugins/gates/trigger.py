"""The trigger that carries a gate from its first sample to its verdict.

Rules:
1. PASS ends the task as success; FAIL, INCONCLUSIVE and every error end it as failed.
2. The verdict is in the ledger before Airflow is told.
3. On FAIL the canary's traffic is pulled to zero here, before anything is reported.
4. Killed and started again, on this triggerer or another, it goes on from the ledger's samples.
5. The secrets that it may fetch are those of the servers that it reads, by Airflow's asynchronous interface: the
   synchronous one would hold up every other trigger.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskFailedEvent, TaskSuccessEvent, TriggerEvent


class GateTrigger(BaseTrigger):
    """Judges one gate of a release."""

    def __init__(
        self, *, gate_id: str, gate: str, stage: str, plan: str, release_id: str, environment: str
    ) -> None:
        super().__init__()
        self.gate_id = gate_id
        self.gate = gate
        self.stage = stage
        self.plan = plan
        self.release_id = release_id
        self.environment = environment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("gate_id", "gate", "stage", "plan", "release_id", "environment")
        return "gates.trigger.GateTrigger", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        import asyncio

        from roundtrip.errors import RoundtripError
        from roundtrip.gates import turns
        from roundtrip.rollout.gating import judge
        from steps.connections import authorization
        from steps.opening import no_secrets, open_release

        self.log.info(
            "%s of release %s; to pause, extend or override it: Dags > gate_action_%s > Trigger",
            self.gate_id,
            self.release_id,
            self.plan,
        )
        try:
            async with turns.opening():
                release = await asyncio.to_thread(
                    open_release, self.release_id, self.plan, self.environment, no_secrets
                )
            decision = await judge(
                release, self.stage, self.gate, self.gate_id, self.log.info, authorize=authorization
            )
        except RoundtripError as error:
            self.log.error("%s", error)
            yield TaskFailedEvent(xcoms={"verdict": "INCONCLUSIVE", "reason": str(error)})
            return
        verdict = decision.verdict.name if decision.verdict else "no verdict"
        xcoms = {"verdict": verdict, "reason": decision.reason}
        yield TaskSuccessEvent(xcoms=xcoms) if verdict == "PASS" else TaskFailedEvent(xcoms=xcoms)
