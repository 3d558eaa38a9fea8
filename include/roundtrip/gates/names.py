"""Names: which series of a Prometheus page count as requests, as bad ones and as slow ones. Data, and only
here.

Sources: Traefik's documentation of its Prometheus metrics, and the metrics that the platform's services
promise in `include/platform/README.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SERVER_ERRORS = frozenset(str(code) for code in range(500, 600))
"""Codes that are errors. Traefik answers 502 and 504 for a connection that it could not make or that timed out."""


@dataclass(frozen=True)
class Names:
    """The series of one kind of process."""

    total: str
    """counter of requests, or of what stands for them"""
    errors: str | None
    """counter of the bad ones; None when they are those of `total` with a code of SERVER_ERRORS"""
    seconds: str
    """histogram of durations, without _bucket; how many it holds is what was finished"""
    rejected: str | None = None
    """counter of those that were refused; None: there is none"""


FRONT_DOOR = Names("traefik_service_requests_total", None, "traefik_service_request_duration_seconds")
"""Labels service="<service>-<version with dashes>@file", code, method, protocol."""

FRONT_DOOR_ALIVE = "traefik_config_reloads_total"
"""On Traefik's page from its start on, so a page without it is not Traefik's."""

SERVICES = (
    Names("orders_received_total", "order_errors_total", "order_handling_seconds", "orders_rejected_total"),
    Names("http_requests_total", None, "http_request_duration_seconds"),
)
"""The first of them that a process shows is the one that counts: a worker counts orders, whatever else it serves."""

IGNORED_ROUTES = frozenset({"/metrics", "/healthz"})
"""Asked by machines and not by users: they would thin out the errors of a version that gets little traffic."""


def is_of_users(labels: Mapping[str, str]) -> bool:
    """Whether a process's series counts what users asked."""
    return labels.get("route") not in IGNORED_ROUTES


STARTED = "process_start_time_seconds"


def front_door_service(service: str, version: str) -> str:
    """How the front door names one version of a service."""
    return f"{service}-{version.replace('.', '-')}@file"
