"""What this process counts, as Prometheus text: every sample says which service and version it is of."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric

from backtester.identity import SERVICE, VERSION

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
_LABELS = {"service": SERVICE, "version": VERSION}


class _LabelledRegistry(CollectorRegistry):
    """Adds the labels of this process to every sample, those of the process' own figures included."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [
                sample._replace(labels={**sample.labels, **_LABELS})
                for sample in metric.samples
                if not sample.name.endswith("_created")  # the time of the start, once a series
            ]
            yield metric


class Metrics:
    def __init__(self) -> None:
        registry = self._registry = _LabelledRegistry()
        ProcessCollector(registry=registry)
        Gauge("build_info", "What runs here", registry=registry).set(1)
        labels = ["method", "route"]
        self._requests = Counter("http_requests_total", "Requests answered", [*labels, "code"], registry=registry)
        self._seconds = Histogram(
            "http_request_duration_seconds", "Time to answer", labels, buckets=_BUCKETS_SECONDS, registry=registry
        )

    def answered(self, method: str, route: str, code: int, seconds: float) -> None:
        self._requests.labels(method=method, route=route, code=str(code)).inc()
        self._seconds.labels(method=method, route=route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
