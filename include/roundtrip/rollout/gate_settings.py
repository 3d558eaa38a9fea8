"""The settings of a release's gates: the plan's, with what the environment changes openly."""

from __future__ import annotations

from typing import Protocol

from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Gate, Plan


class Planned(Protocol):
    """A plan and its environments: a release, or what would be one."""

    @property
    def plan(self) -> Plan: ...

    def environment(self, stage: str) -> Environment: ...


def soak_seconds(release: Planned) -> float:
    """The soak of this release: the environment's when it shortens it, else the plan's."""
    shortened = release.environment("production").soak_seconds
    return release.plan.production.soak_seconds if shortened is None else shortened


def settings(release: Planned, stage: str, gate: str) -> Gate:
    """The plan's gate with what the environment changes in it, and the soak's time when it is the soak gate."""
    changed = release.environment(stage).gates.get(gate)
    changes = changed.model_dump(exclude_none=True) if changed else {}
    settled = release.plan.gates[gate].model_copy(update=changes)
    if gate != release.plan.production.soak_gate:
        return settled
    soak = soak_seconds(release)
    times = {
        "minimum_seconds": max(settled.minimum_seconds, soak),
        "deadline_seconds": settled.deadline_seconds + soak,
    }
    return settled.model_copy(update=times)
