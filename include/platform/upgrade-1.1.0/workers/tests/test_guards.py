"""What must never be is shown when it is, and a duplicate that was caught is none."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
import redis

from tests.redis_server import RedisServer
from tests.test_worker import counted
from tests.trading import journalled, order, orders, placed, service
from workers.identity import VERSION
from workers.metrics import Metrics
from workers.redis_connection import connect
from workers.services import guards
from workers.services.guards import Guards

LIMIT = Decimal(1000)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured whenever it is asked for."""
    monkeypatch.setattr(guards, "_EVERY_SECONDS", 0.0)


def fills(client: redis.Redis, order_id: str, version: str, status: str = "filled") -> None:
    client.xadd("fills", journalled(order(order_id), version, status))


def shown(metrics: Metrics) -> tuple[float, float, float]:
    """Kill switch, used part of the limit, orders filled twice."""
    return (
        counted(metrics, "kill_switch"),
        counted(metrics, "exposure_limit_used"),
        counted(metrics, "fills_duplicated_total"),
    )


def test_nothing_is_known_before_it_is_measured_and_nothing_is_wrong_with_nothing(
    client: redis.Redis,
) -> None:
    metrics = Metrics()
    measuring = Guards(client, LIMIT, metrics)
    assert math.isnan(counted(metrics, "kill_switch"))
    assert math.isnan(counted(metrics, "exposure_limit_used"))
    measuring.measure()
    assert shown(metrics) == (0, 0, 0)


def test_the_kill_switch_and_the_largest_exposure_of_either_sign_are_shown(client: redis.Redis) -> None:
    metrics, risk = Metrics(), service(client, LIMIT)
    measuring = Guards(client, LIMIT, metrics)
    risk.handle(placed(client, order("a", quantity="10")))
    risk.handle(placed(client, order("b", quantity="50", side="sell", symbol="ETH-USD")))
    measuring.measure()
    assert shown(metrics) == (0, 0.5, 0)
    client.xadd("control", {"kill_switch": "1", "at": ""})
    risk.catch_up()
    measuring.measure()
    assert shown(metrics) == (1, 0.5, 0)


def test_a_delivery_that_was_recognised_is_no_duplicate_fill(client: redis.Redis) -> None:
    metrics, risk = Metrics(), service(client)
    measuring = Guards(client, LIMIT, metrics)
    measuring.measure()
    event = placed(client, order("a"))
    assert risk.handle(event).status == "filled"
    assert risk.handle(event).status == "duplicated"
    assert risk.handle(placed(client, order("a"))).status == "duplicated"
    measuring.measure()
    assert counted(metrics, "fills_duplicated_total") == 0


def test_only_a_second_fill_by_this_version_counts(client: redis.Redis) -> None:
    metrics = Metrics()
    measuring = Guards(client, LIMIT, metrics)
    fills(client, "stable-twice", "1.0.0")
    fills(client, "before", "1.0.0")
    fills(client, "rejected", VERSION)
    measuring.measure()
    fills(client, "stable-twice", "1.0.0")
    fills(client, "rejected", VERSION, "rejected")
    fills(client, "once", VERSION)
    measuring.measure()
    assert counted(metrics, "fills_duplicated_total") == 0
    fills(client, "before", VERSION)
    fills(client, "once", VERSION)
    measuring.measure()
    measuring.measure()
    assert counted(metrics, "fills_duplicated_total") == 2


def test_a_long_journal_is_read_to_its_end_page_by_page(client: redis.Redis) -> None:
    metrics = Metrics()
    measuring = Guards(client, LIMIT, metrics)
    measuring.measure()
    writing = client.pipeline(transaction=False)
    placed_orders = orders(2500, seed=9)
    for fields in [*placed_orders, placed_orders[0]]:
        writing.xadd("fills", journalled(fields, VERSION))
    writing.execute()
    measuring.measure()
    assert counted(metrics, "fills_duplicated_total") == 1


def test_what_could_not_be_measured_for_long_is_not_known(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = Metrics()
    with connect(server.url) as own:
        Guards(own, LIMIT, metrics).measure()
    assert counted(metrics, "kill_switch") == 0
    monkeypatch.setattr(guards, "_FRESH_SECONDS", -1.0)
    assert math.isnan(counted(metrics, "kill_switch"))
    assert math.isnan(counted(metrics, "exposure_limit_used"))
