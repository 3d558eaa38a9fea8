"""What this process counts, as Prometheus text: every sample says which service and version it is of."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric

from workers.identity import SERVICE, VERSION

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
        PlatformCollector(registry=registry)
        Gauge("build_info", "What runs here", registry=registry).set(1)
        self.received = Counter("orders_received_total", "Orders taken from the stream", registry=registry)
        self.filled = Counter("orders_filled_total", "Orders filled", registry=registry)
        self.rejected = Counter("orders_rejected_total", "Orders rejected", ["reason"], registry=registry)
        self.duplicated = Counter("orders_duplicated_total", "Orders counted before", registry=registry)
        self.errors = Counter("order_errors_total", "Orders whose handling went wrong", registry=registry)
        self.seconds = Histogram(
            "order_handling_seconds", "Time to handle an order", buckets=_BUCKETS_SECONDS, registry=registry
        )
        self.lag = Gauge("stream_lag", "Orders that no worker has taken yet", registry=registry)
        self.kill_switch = Gauge("kill_switch", "1 while the kill switch is on", registry=registry)
        self.exposure_limit_used = Gauge(
            "exposure_limit_used", "Largest exposure of a symbol, in parts of the limit", registry=registry
        )
        self.fills_duplicated = Counter(
            "fills_duplicated_total", "Orders that this version filled a second time", registry=registry
        )

    def text(self) -> bytes:
        return generate_latest(self._registry)
