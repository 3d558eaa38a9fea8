"""What is watched: one process of a service, or the front door, whose counters grow as if clients were there.

    python -m benchmarks.many_gates.platform door|SERVICE VERSION PORT INSTANCES_FOLDER

A stand-in, named so: it answers as Traefik and the platform's services do, with pages of the length of theirs, and no
client is behind it. A page is made anew PAGES_PER_SECOND times a second, so that serving it costs little.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roundtrip.gates.names import front_door_service
from roundtrip.targets.servers import BUCKETS

SERVICES = ("api", "ops-ui", "workers", "backtester")
VERSIONS = ("1.0.0", "1.1.0")
REQUESTS_PER_SECOND = 30
"""at each service and version: neither is worse; one of BAD is an error"""
BAD = 1000
QUICK_SECONDS = 0.02
PAGES_PER_SECOND = 5

Grow = Callable[[int], None]
"""Counts so many more requests."""


def door(registry: CollectorRegistry) -> dict[str, Grow]:
    """Traefik's series of each service and version."""
    labels = ("code", "method", "protocol", "service")
    Counter("traefik_config_reloads_total", "Config reloads", registry=registry).inc()
    requests = Counter("traefik_service_requests_total", "Requests", labels, registry=registry)
    received = Counter("traefik_service_requests_bytes_total", "Bytes", labels, registry=registry)
    sent = Counter("traefik_service_responses_bytes_total", "Bytes", labels, registry=registry)
    seconds = Histogram(
        "traefik_service_request_duration_seconds", "Durations", labels, buckets=BUCKETS, registry=registry
    )

    def growing(service: str, version: str) -> Grow:
        name = front_door_service(service, version)
        good, bad = ((code, "GET", "http", name) for code in ("200", "503"))
        rest = Rest()

        def grow(count: int) -> None:
            failed = rest.of(count)
            for labels, number in ((good, count - failed), (bad, failed)):
                requests.labels(*labels).inc(number)
                received.labels(*labels).inc(200 * number)
                sent.labels(*labels).inc(2000 * number)
                for _ in range(number):
                    seconds.labels(*labels).observe(QUICK_SECONDS)

        return grow

    return {f"{service} {version}": growing(service, version) for service in SERVICES for version in VERSIONS}


def process(registry: CollectorRegistry) -> Grow:
    """What a worker shows."""
    Gauge("build_info", "What runs here", registry=registry).set(1)
    received = Counter("orders_received_total", "Orders", registry=registry)
    errors = Counter("order_errors_total", "Orders that went wrong", registry=registry)
    filled = Counter("orders_filled_total", "Orders filled", registry=registry)
    handling = Histogram("order_handling_seconds", "Time", buckets=BUCKETS, registry=registry)
    Gauge("kill_switch", "1 while it is on", registry=registry).set(0)
    Gauge("exposure_limit_used", "In parts of the limit", registry=registry).set(0.25)
    Counter("fills_duplicated_total", "Filled a second time", registry=registry)
    rest = Rest()

    def grow(count: int) -> None:
        failed = rest.of(count)
        received.inc(count)
        errors.inc(failed)
        filled.inc(count - failed)
        for _ in range(count):
            handling.observe(QUICK_SECONDS)

    return grow


class Rest:
    """How many of the counted are bad: one of BAD."""

    def __init__(self) -> None:
        self._counted = 0

    def of(self, count: int) -> int:
        before, self._counted = self._counted // BAD, self._counted + count
        return self._counted // BAD - before


class Site:
    """The page, made anew while the server runs."""

    def __init__(self, kind: str, version: str, instances: Path) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._grow = (
            {f"{kind} {version}": process(self._registry)} if kind != "door" else door(self._registry)
        )
        self._instances = instances
        self._page = b""
        self._counted: dict[str, int] = {}

    async def keep_growing(self) -> None:
        began = time.monotonic()
        while True:
            elapsed = time.monotonic() - began
            for name, grow in self._grow.items():
                by_now = int(elapsed * REQUESTS_PER_SECOND)
                grow(by_now - self._counted.get(name, 0))
                self._counted[name] = by_now
            self._page = generate_latest(self._registry)
            await asyncio.sleep(1 / PAGES_PER_SECOND)

    async def metrics(self, _: Request) -> Response:
        return Response(self._page, media_type="text/plain")

    async def health(self, _: Request) -> Response:
        return Response(b"")

    async def services(self, _: Request) -> Response:
        """Traefik's answer for what is placed: half of the traffic to each version."""
        found: list[dict[str, object]] = []
        placed = [json.loads(file.read_text()) for file in sorted(self._instances.glob("*.json"))]
        for service in sorted({one["service"] for one in placed}):
            names = {
                one["version"]: f"{service}-{one['version'].replace('.', '-')}@file"
                for one in placed
                if one["service"] == service
            }
            weighted = [{"name": name, "weight": 50} for name in names.values()]
            found.append({"name": f"{service}@file", "weighted": {"services": weighted}})
            for version, name in names.items():
                servers = [
                    {"url": f"http://127.0.0.1:{one['port']}"}
                    for one in placed
                    if (one["service"], one["version"]) == (service, version)
                ]
                found.append({"name": name, "loadBalancer": {"servers": servers}})
        return JSONResponse(found)


async def main() -> None:
    kind, version, port, instances = sys.argv[1:]
    site = Site(kind, version, Path(instances))
    routes = [
        Route("/metrics", site.metrics),
        Route("/health", site.health),
        Route("/api/http/services", site.services),
    ]
    config = uvicorn.Config(
        Starlette(routes=routes), host="127.0.0.1", port=int(port), access_log=False, log_level="warning"
    )
    growing = asyncio.create_task(site.keep_growing())
    await uvicorn.Server(config).serve()
    growing.cancel()


if __name__ == "__main__":
    asyncio.run(main())
