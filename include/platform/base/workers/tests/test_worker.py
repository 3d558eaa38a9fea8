from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.redis_server import RedisServer
from tests.trading import exposure_of, journal, order, orders, pending, placed, service, wait
from workers.error_tracker import NO_TRACKER, ErrorTracker
from workers.metrics import Metrics
from workers.orders import Event, Outcome
from workers.redis_connection import connect
from workers.services.order_stream import OrderStream
from workers.worker import Worker


@contextmanager
def working(
    client: redis.Redis,
    handle: Callable[[Event], Outcome],
    metrics: Metrics,
    tracker: ErrorTracker = NO_TRACKER,
) -> Iterator[threading.Event]:
    stop = threading.Event()
    loop = threading.Thread(
        target=Worker(OrderStream(client, "one"), service(client).catch_up, handle, metrics, tracker).run,
        args=[stop],
    )
    loop.start()
    try:
        yield stop
    finally:
        stop.set()
        loop.join(10)
        assert not loop.is_alive()


def counted(metrics: Metrics, sample: str) -> float:
    """The value of one sample, named without the labels that all have."""
    name, _, labels = sample.partition("{")
    for line in metrics.text().decode().splitlines():
        if line.startswith((f"{name}{{", f"{name} ")) and labels.rstrip("}") in line:
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no {sample}")


def test_orders_are_handled_and_counted(client: redis.Redis) -> None:
    metrics = Metrics()
    placed_orders = orders(30, seed=5)
    for fields in [*placed_orders, order("bad", price=""), {"hello": "world"}]:
        placed(client, fields)
    with working(client, service(client).handle, metrics):
        wait(lambda: len(journal(client)) == 32, "the journal")
        wait(lambda: counted(metrics, "stream_lag") == 0, "the lag to be measured")
    assert pending(client) == 0
    assert counted(metrics, "orders_received_total") == 32
    assert counted(metrics, "orders_filled_total") == 30
    assert counted(metrics, 'orders_rejected_total{reason="malformed"}') == 2
    assert counted(metrics, "order_errors_total") == 2
    assert counted(metrics, "order_handling_seconds_count") == 32
    assert counted(metrics, "process_start_time_seconds") > 1.7e9
    assert service(client).risk()["exposure"] == exposure_of(placed_orders)


def test_every_sample_says_service_and_version() -> None:
    lines = [line for line in Metrics().text().decode().splitlines() if not line.startswith("#")]
    assert lines
    for line in lines:
        assert 'service="workers"' in line
        assert 'version="' in line


def test_an_exception_leaves_its_event_pending_and_the_others_are_handled(client: redis.Redis) -> None:
    metrics, reported = Metrics(), []
    risk = service(client)

    def handle(event: Event) -> Outcome:
        if event.fields["order_id"] == "b":
            raise ZeroDivisionError("as a bug would")
        return risk.handle(event)

    for order_id in "abc":
        placed(client, order(order_id))
    with working(client, handle, metrics, ErrorTracker(reported.append, lambda: None)):
        wait(lambda: len(journal(client)) == 2, "the journal")
    assert [entry["order_id"] for entry in journal(client)] == ["a", "c"]
    assert pending(client) == 1
    assert counted(metrics, "order_errors_total") == 1
    assert [str(error) for error in reported] == ["as a bug would"]


def test_draining_finishes_the_event_in_hand_and_hands_the_others_back(client: redis.Redis) -> None:
    is_in_hand, may_end = threading.Event(), threading.Event()
    risk = service(client)

    def handle(event: Event) -> Outcome:
        is_in_hand.set()
        assert may_end.wait(10)
        return risk.handle(event)

    for order_id in "abc":
        placed(client, order(order_id))
    with working(client, handle, Metrics()) as stop:
        assert is_in_hand.wait(10)
        stop.set()
        may_end.set()
    assert [entry["order_id"] for entry in journal(client)] == ["a"]
    assert [event.fields["order_id"] for event in OrderStream(client, "other").take()] == ["b", "c"]


def test_it_goes_on_after_redis_crashed(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RedisServer(tmp_path_factory.mktemp("redis"), is_kept=True)
    server.start()
    placed_orders = orders(60, seed=6)
    metrics = Metrics()
    with connect(server.url) as client, working(client, service(client).handle, metrics):
        try:
            with server.client() as placing:
                for fields in placed_orders[:30]:
                    placed(placing, fields)
            wait(lambda: counted(metrics, "orders_filled_total") >= 5, "the first fills")
            server.kill()
            server.start()
            with server.client() as placing:
                for fields in placed_orders[30:]:
                    placed(placing, fields)
                wait(lambda: len(journal(placing)) == 60 and pending(placing) == 0, "all fills")
            assert service(client).risk()["exposure"] == exposure_of(placed_orders)
        finally:
            server.kill()
