"""What the stable version did by hour of the day, recorded with production's snapshot for when nothing of it runs any more.

Rules:
1. It is read once in a release, of the environment's Prometheus server, for the metrics of the soak gate that are counted
   there; what was not read then is not asked for later, when the release itself is among the days.
2. A release does not stop for want of it: the ledger says why there is none, and what earlier gates recorded counts.
3. A gate's metric is compared with it when it measures the same: service, series, kind and bound.
4. Where hours are recorded they count alone: what earlier gates recorded is of some minutes, and says nothing of another hour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from roundtrip.errors import EvidenceError, SecretError
from roundtrip.gates.evidence import Baseline, Counts
from roundtrip.gates.prometheus import Server
from roundtrip.gates.prometheus_history import HOUR, PrometheusHistory, whole_hours
from roundtrip.gates.reading import Versions
from roundtrip.ledger.ledger import Event, utc_now
from roundtrip.plan.environment import PrometheusServer
from roundtrip.plan.model import Gate, Metric
from roundtrip.release import Release
from roundtrip.rollout.gate_settings import settings

log = logging.getLogger(__name__)

KIND = "snapshot.baseline"

READING_SECONDS = 300.0
"""Longest time for all of it; the release waits."""

COUNTED = ("errors", "slow")
"""Kinds of metrics whose bad ones are a share of requests."""


def record(
    release: Release,
    stage: str,
    *,
    clock: Callable[[], datetime] = utc_now,
    reading_seconds: float = READING_SECONDS,
) -> None:
    """Record once what stable did by hour of the day, or why that is not known. Raises LedgerError."""
    environment = release.environment(stage).name
    if release.ledger.last(release.id, KIND, environment) is not None:
        log.info("%s: the stable version by hour of the day is recorded already", environment)
        return
    data = _data(release, stage, clock(), reading_seconds)
    for line in told(release.ledger.append_once(release.id, KIND, environment, data)):
        log.info("%s", line)


def told(event: Event) -> list[str]:
    """What is recorded, metric by metric, or why nothing is."""
    if event.data["reason"]:
        return [f"{event.key}: stable by hour of the day is not recorded: {event.data['reason']}"]
    return [
        f"{event.key}: {name}: {_baseline(event, one) or 'no hour of stable is recorded whole enough'}"
        for name, one in event.data["metrics"].items()
    ]


def known(release: Release, stage: str, gate: Gate, alone: Collection[str]) -> dict[str, Baseline]:
    """The baselines by hour of the metrics of `alone` that have one."""
    event = release.ledger.last(release.id, KIND, release.environment(stage).name)
    if event is None:
        return {}
    found = {}
    for metric in gate.metrics:
        for one in event.data["metrics"].values():
            baseline = _baseline(event, one)
            if metric.name in alone and one["measured"] == _measured(metric) and baseline is not None:
                found[metric.name] = baseline
    return found


def _data(release: Release, stage: str, now: datetime, reading_seconds: float) -> dict[str, Any]:
    gate = settings(release, stage, release.plan.production.soak_gate)
    asked = tuple(m for m in gate.metrics if m.source == "prometheus" and m.kind in COUNTED)
    server = release.environment(stage).prometheus
    if server is None:
        return _nothing("the environment names no Prometheus server")
    if not asked:
        return _nothing("no metric of the soak gate is counted by Prometheus")
    first, *_, last = whole_hours(now, server.history_days)
    until = last + HOUR
    version, days = release.plan.from_version, server.history_days
    log.info("asking %s what %s did in each hour of %d days", server.url, version, days)
    try:
        history = _history(release, server, gate, asked)
        by_hour = asyncio.run(_read(history, until, days, reading_seconds))
    except (EvidenceError, SecretError) as error:
        return _nothing(str(error))
    metrics = {
        metric.name: {
            "measured": _measured(metric),
            "hours": {
                str(hour): [counts.to_json() for counts in each]
                for hour, each in by_hour[metric.name].items()
            },
        }
        for metric in asked
    }
    return {"metrics": metrics, "reason": None, "since": first.isoformat(), "until": until.isoformat()}


def _nothing(why: str) -> dict[str, Any]:
    return {"metrics": {}, "reason": why}


def _history(
    release: Release, server: PrometheusServer, gate: Gate, metrics: tuple[Metric, ...]
) -> PrometheusHistory:
    """Raises SecretError."""
    authorization = release.authorization(server.connection) if server.connection is not None else None
    versions = Versions(canary=release.plan.to_version, stable=release.plan.from_version)
    return PrometheusHistory(Server(server.url, authorization), metrics, versions, gate.stale_seconds)


async def _read(
    history: PrometheusHistory, until: datetime, days: int, reading_seconds: float
) -> dict[str, dict[int, tuple[Counts, ...]]]:
    """Raises EvidenceError."""
    try:
        async with asyncio.timeout(reading_seconds):
            return await history.by_hour(until, days)
    except TimeoutError as error:
        raise EvidenceError(
            f"{days} days of counters were not read within {reading_seconds:g} s",
            where=history.server.url,
            remedy="make history_days of the environment fewer",
        ) from error


def _measured(metric: Metric) -> dict[str, Any]:
    """What a metric measures, and not how it is judged."""
    return metric.model_dump(
        mode="json", include={"service", "source", "kind", "series", "slower_than_seconds"}
    )


def _baseline(event: Event, one: Mapping[str, Any]) -> Baseline | None:
    """What is recorded of one metric; None where no hour is."""
    hours = {int(hour): tuple(Counts.from_json(day) for day in days) for hour, days in one["hours"].items()}
    if not hours:
        return None
    since, until = (datetime.fromisoformat(event.data[name]) for name in ("since", "until"))
    return Baseline.of_hours(hours, since, until)
