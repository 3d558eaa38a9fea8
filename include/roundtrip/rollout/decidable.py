"""Whether the gates of a release can decide: asked when it is opened, before anything is built or deployed.

Rules:
1. A gate whose stated traffic cannot be enough by its deadline, in any stage or wave, is refused with the numbers.
2. An environment that states no traffic is not refused, and neither is a metric whose need depends on how often
   stable fails: nobody knows before.
3. A metric or a guard rail whose source the environment does not name is refused, and so is a change of a metric that is
   not there.
"""

from __future__ import annotations

from collections.abc import Iterator

from roundtrip.errors import PlanError
from roundtrip.gates.figure import figure
from roundtrip.gates.needs import need
from roundtrip.plan.model import Plan, Wave
from roundtrip.release import Release
from roundtrip.rollout.expected_traffic import canary_share, expected_requests
from roundtrip.rollout.gate_settings import settings


def refuse_undecidable(release: Release) -> None:
    """Raises PlanError with every gate that cannot decide."""
    problems = [
        problem
        for stage, gate, step, wave in gates_of(release.plan)
        for problem in (
            *_without_source(release, stage, gate),
            *_without_metric(release, stage, gate),
            *_without_traffic(release, stage, gate, step, wave),
        )
    ]
    if problems:
        raise PlanError(
            "; ".join(dict.fromkeys(problems)),
            where=", ".join(environment.name for environment in release.environments.values()),
            remedy="give the canary a larger share, raise absolute_tolerance, lengthen the deadline, leave the metric out, or "
            "mend the environment; nothing was deployed",
        )


def gates_of(plan: Plan) -> Iterator[tuple[str, str, str, Wave]]:
    """Stage, gate, where it stands in the plan, and what is placed then."""
    staging = plan.staging
    percent = staging.canary_percent if staging.strategy == "canary" else 100
    placed = Wave(number=1, last=percent == 100, traffic_percent=percent, worker_step_percent=percent)
    yield "staging", staging.gate, "canary", placed
    for wave in plan.waves():
        yield "production", plan.production.gate, f"wave {wave.number}", wave
    yield "production", plan.production.soak_gate, "soak", plan.waves()[-1]


def _without_source(release: Release, stage: str, gate: str) -> Iterator[str]:
    if release.environment(stage).prometheus is None:
        for metric in release.plan.gates[gate].metrics:
            if metric.source == "prometheus":
                yield f"gates.{gate}.{metric.name}: {stage} names no Prometheus server"
    if release.environment(stage).error_tracker is None:
        for rail in release.plan.gates[gate].guard_rails:
            if rail.source == "error-tracking":
                yield f"gates.{gate}.guard_rails.{rail.name}: {stage} names no error tracker"


def _without_metric(release: Release, stage: str, gate: str) -> Iterator[str]:
    """What the environment changes of metrics that are not there, or are not judged in blocks of their own."""
    changed = release.environment(stage).gates.get(gate)
    in_blocks = {one.name for one in release.plan.gates[gate].metrics if one.burst_seconds is not None}
    for name in sorted(set(changed.metric_burst_seconds) - in_blocks if changed else ()):
        yield f"gates.{gate}.metric_burst_seconds.{name} in {stage}: the plan has no such metric with burst_seconds"


def _without_traffic(release: Release, stage: str, gate: str, step: str, wave: Wave) -> Iterator[str]:
    settled = settings(release, stage, gate)
    for metric in settled.metrics:
        stated = expected_requests(release, stage, metric.service)
        share = canary_share(release, stage, metric.service, wave)
        where = f"gates.{gate}.{metric.name} in {stage}, {step}"
        if metric.kind == "throughput" and share == 1:
            yield f"{where}: {metric.service} runs in the new version alone: no throughput to compare with"
            continue
        found = need(settled, metric, share, stated)
        if found.is_enough:
            continue
        if found.looked_seconds is not None:
            yield f"{where}: needs looks for {found.looked_seconds:.0f} s, there are {found.left_seconds:.0f} s"
            continue
        yield (
            f"{where}: needs {found.canary_requests} canary {found.unit} within "
            f"{settled.deadline_seconds:g} s, which are {_rate(found.requests_per_second)} {found.unit}/s to "
            f"{metric.service} at a share of {100 * found.share:.3g}%, stated are {_rate(stated)}"
        )


def _rate(requests_per_second: float | None) -> str:
    """None is what no rate is enough for, or what nobody has stated."""
    return "no rate" if requests_per_second is None else figure(requests_per_second)
