"""The settings of a release's gates: the plan's, with what the environment changes openly."""

from __future__ import annotations

from typing import Protocol

from roundtrip.plan.environment import Environment, GateTimes
from roundtrip.plan.model import Gate, Metric, Plan


class Planned(Protocol):
    """A plan and its environments: a release, or what would be one."""

    @property
    def plan(self) -> Plan: ...

    def environment(self, stage: str) -> Environment: ...


def soak_seconds(release: Planned) -> float:
    """The soak of this release: the environment's when it shortens it, else the plan's."""
    shortened = release.environment("production").soak_seconds
    return release.plan.production.soak_seconds if shortened is None else shortened


def _in_bursts(metric: Metric, changed: GateTimes) -> Metric:
    if metric.burst_seconds is None:
        return metric
    seconds = changed.metric_burst_seconds.get(metric.name, metric.burst_seconds)
    return metric.model_copy(update={"burst_seconds": seconds})


def settings(release: Planned, stage: str, gate: str) -> Gate:
    """The plan's gate with what the environment changes in it, and the soak's time when it is the soak gate."""
    settled, changed = release.plan.gates[gate], release.environment(stage).gates.get(gate)
    if changed is not None:
        changes = changed.model_dump(exclude_none=True, exclude={"metric_burst_seconds"})
        metrics = [_in_bursts(metric, changed) for metric in settled.metrics]
        settled = settled.model_copy(update={**changes, "metrics": metrics})
    if gate != release.plan.production.soak_gate:
        return settled
    soak = soak_seconds(release)
    times = {
        "minimum_seconds": max(settled.minimum_seconds, soak),
        "deadline_seconds": settled.deadline_seconds + soak,
    }
    return settled.model_copy(update=times)
