"""The trigger that carries a gate from its first sample to its verdict.

Rules:
1. PASS ends the task as success; FAIL, INCONCLUSIVE and every error end it as failed.
2. The verdict is in the ledger before Airflow is told.
3. On FAIL the canary's traffic is pulled to zero here, before anything is reported.
4. Killed and started again, on this triggerer or another, it goes on from the ledger's samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from gates.release_trigger import ReleaseTrigger

if TYPE_CHECKING:
    from roundtrip.release import Release


class GateTrigger(ReleaseTrigger):
    """Judges one gate of a release."""

    def __init__(self, *, gate_id: str, gate: str, stage: str, **of_release: str) -> None:
        super().__init__(waits_as=gate_id, **of_release)
        self.gate_id = gate_id
        self.gate = gate
        self.stage = stage

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = ("gate_id", "gate", "stage", "plan", "release_id", "environment")
        return "gates.trigger.GateTrigger", {name: getattr(self, name) for name in names}

    async def carry_out(self, release: Release) -> TriggerEvent:
        from roundtrip.rollout.gating import judge
        from steps.connections import authorization

        self.log.info(
            "%s of release %s; to pause, extend or override it: Dags > gate_action_%s > Trigger",
            self.gate_id,
            self.release_id,
            self.plan,
        )
        decision = await judge(
            release, self.stage, self.gate, self.gate_id, self.log.info, authorize=authorization
        )
        verdict = decision.verdict.name if decision.verdict else "no verdict"
        xcoms = {"verdict": verdict, "reason": decision.reason}
        return TaskSuccessEvent(xcoms=xcoms) if verdict == "PASS" else TaskFailedEvent(xcoms=xcoms)
