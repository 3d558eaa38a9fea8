"""Sources: which of them a gate reads. A new kind of source is one file, listed here."""

from __future__ import annotations

from pathlib import Path

from roundtrip.errors import GateError
from roundtrip.gates.error_tracking import ErrorTracking, Tracker
from roundtrip.gates.prometheus import Prometheus, Server
from roundtrip.gates.reading import Source, Versions
from roundtrip.gates.scrape import FrontDoor, Services
from roundtrip.plan.model import Gate


def sources(
    gate: Gate,
    versions: Versions,
    *,
    front_door: str,
    services: Path,
    prometheus: Server | None = None,
    error_tracker: Tracker | None = None,
) -> tuple[Source, ...]:
    """The sources that the gate's metrics and guard rails name. Raises GateError when one of them is nowhere.

    `front_door` is the address of the front door's Prometheus page, `services` a file of targets in Prometheus'
    file_sd format, with labels service and version, `prometheus` the server that watches the environment,
    `error_tracker` the one that its services report errors to.
    """
    at_door = tuple(metric for metric in gate.metrics if metric.source == "front-door")
    inside = tuple(metric for metric in gate.metrics if metric.source == "services")
    asked = tuple(metric for metric in gate.metrics if metric.source == "prometheus")
    shown = tuple(rail for rail in gate.guard_rails if rail.source == "services")
    reported = tuple(rail for rail in gate.guard_rails if rail.source == "error-tracking")
    found: list[Source] = []
    if at_door:
        found.append(FrontDoor(front_door, at_door, versions))
    if inside or shown:
        found.append(Services(services, inside, versions, guard_rails=shown))
    if asked:
        if prometheus is None:
            raise GateError(
                "the environment names no Prometheus server",
                where=f"metric {asked[0].name}",
                remedy="add the key 'prometheus' to the environment, or take the metric from the services",
            )
        found.append(Prometheus(prometheus, asked, versions, gate.stale_seconds))
    if reported:
        if error_tracker is None:
            raise GateError(
                "the environment names no error tracker",
                where=f"guard rail {reported[0].name}",
                remedy="add the key 'error_tracker' to the environment, or take the guard rail out of the plan's gate",
            )
        found.append(ErrorTracking(error_tracker, reported, versions))
    return tuple(found)
