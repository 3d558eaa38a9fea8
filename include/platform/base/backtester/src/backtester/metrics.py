"""What this process counts, as Prometheus text: every sample says which service and version it is of."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from backtester.identity import SERVICE, VERSION

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_OF = {"service": SERVICE, "version": VERSION}


class Metrics:
    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Gauge("build_info", "What runs here", [*_OF], registry=registry).labels(**_OF).set(1)
        labels = [*_OF, "method", "route"]
        self._requests = Counter("http_requests_total", "Requests answered", [*labels, "code"], registry=registry)
        self._seconds = Histogram(
            "http_request_duration_seconds", "Time to answer", labels, buckets=_BUCKETS_SECONDS, registry=registry
        )

    def answered(self, method: str, route: str, code: int, seconds: float) -> None:
        self._requests.labels(**_OF, method=method, route=route, code=str(code)).inc()
        self._seconds.labels(**_OF, method=method, route=route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
