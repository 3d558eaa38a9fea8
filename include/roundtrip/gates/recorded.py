"""What earlier gates recorded of stable, for a canary that takes all traffic and has nothing beside it.

Rules:
1. Only gates of the same release and environment count, where stable was this version and was compared with.
2. Only the same measurement counts: service, source, series, kind and bound.
3. It is said from when to when that was recorded: whoever reads the verdict has to know what it was compared with. It is of
   that time of day alone; what is recorded by hour of the day (`rollout.stable_hours`) takes its place where there is any.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from roundtrip.gates.evidence import Baseline, Sample
from roundtrip.gates.gate import samples
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.model import Gate, Metric


def runs_alone(gate: Gate, deployment: Deployment, stable: str, queues: Collection[str]) -> tuple[str, ...]:
    """The metrics whose service has no stable version at work in `deployment`.

    `queues` are the services that take their work from a queue: there any stable process is at work.
    """

    def is_at_work(service: str) -> bool:
        placed = deployment.get(service, stable)
        return placed is not None and (service in queues or placed.weight_percent > 0)

    return tuple(metric.name for metric in gate.metrics if not is_at_work(metric.service))


def baselines(
    ledger: Ledger, release: str, *, environment: str, stable: str, gate: Gate, alone: Collection[str]
) -> dict[str, Baseline]:
    """For each metric of `alone` what earlier gates counted on stable; 0 of 0 where they did not, and of a gauge.

    Looks at a gauge hang together, so counts of them bound no share.
    """
    found = {name: Baseline() for name in alone}
    wanted = [metric for metric in gate.metrics if metric.name in found and metric.kind != "gauge"]
    for started in ledger.events(release, kind="gate.started"):
        if (started.data["environment"], started.data["stable"]) != (environment, stable):
            continue
        taken = samples(ledger, release, started.key or "")
        if not taken:
            continue
        first, last = (Sample.from_json(event.data) for event in (taken[0], taken[-1]))
        for metric in wanted:
            for name in _same(metric, started.data):
                before, counts = found[metric.name], last.stable[name]
                if counts.total > 0:
                    since = min(first.at, before.since or first.at)
                    until = max(last.at, before.until or last.at)
                    found[metric.name] = Baseline(before.counts + counts, since, until)
    return found


def _same(metric: Metric, started: Mapping[str, Any]) -> list[str]:
    """Names of the metrics of a started gate that measured the same with stable beside the canary."""
    others = Gate.model_validate(started["gate"]).metrics
    return [
        other.name
        for other in others
        if measurement(other) == measurement(metric) and other.name not in started["baselines"]
    ]


def measurement(metric: Metric) -> tuple[object, ...]:
    """What a metric measures: two that measure the same count the same (rule 2)."""
    bound = metric.slower_than_seconds if metric.higher_than is None else metric.higher_than
    series = metric.series.model_dump_json() if metric.series else None
    return metric.service, metric.source, metric.kind, metric.gauge, bound, series
