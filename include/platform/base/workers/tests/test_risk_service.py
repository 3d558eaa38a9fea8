"""The risk of 1.0.0: what every worker of it computes from the journal."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest
import redis

from tests.trading import (
    exposure_of,
    journal,
    journalled,
    order,
    orders,
    pending,
    placed,
    pnl_of,
    service,
)
from workers.services.order_stream import OrderStream


def test_nothing_at_all_is_no_exposure(client: redis.Redis) -> None:
    assert service(client).risk() == {"exposure": {}, "pnl": 0.0, "kill_switch": False}
    assert service(client).positions() == {"positions": []}


def test_an_order_is_filled_at_its_price_journalled_and_acknowledged(client: redis.Redis) -> None:
    placed(client, order("a", side="sell", quantity="0.5", price="100.1"))
    (event,) = OrderStream(client, "one").take()
    assert pending(client) == 1
    risk = service(client)
    assert risk.handle(event).status == "filled"
    assert pending(client) == 0
    (entry,) = journal(client)
    assert entry.pop("version")
    assert entry.pop("at")
    fields = {"symbol": "BTC-USD", "side": "sell", "quantity": "0.5", "price": "100.1"}
    assert entry == {"order_id": "a", **fields, "status": "filled", "reason": ""}
    assert risk.risk() == {"exposure": {"BTC-USD": -50.05}, "pnl": 50.05, "kill_switch": False}
    assert risk.positions() == {"positions": [{"symbol": "BTC-USD", "quantity": -0.5, "exposure": -50.05}]}


def test_replicas_and_restarted_workers_agree(client: redis.Redis) -> None:
    earlier, placed_orders = orders(1200, seed=1), orders(60, seed=2)
    writing = client.pipeline(transaction=False)
    for fields in earlier:
        writing.xadd("fills", journalled(fields, "1.0.0"))
    writing.execute()
    one, other = service(client), service(client)
    for number, fields in enumerate(placed_orders):
        (one if number % 2 else other).handle(placed(client, fields))
    filled = earlier + placed_orders
    expected = {"exposure": exposure_of(filled), "pnl": pnl_of(filled), "kill_switch": False}
    assert one.risk() == other.risk() == service(client).risk() == expected


def test_it_takes_over_what_workers_of_the_next_version_did(client: redis.Redis) -> None:
    placed_orders = orders(40, seed=2)
    for number, fields in enumerate(placed_orders):
        client.xadd("fills", journalled(fields, "1.1.0" if number % 3 else "1.0.0"))
    client.xadd("fills", journalled(order("no"), "1.1.0", status="rejected"))
    client.xadd("control", {"kill_switch": "0", "at": ""})
    client.xadd("control", {"kill_switch": "1", "at": ""})
    expected = {"exposure": exposure_of(placed_orders), "pnl": pnl_of(placed_orders), "kill_switch": True}
    assert service(client).risk() == expected


def test_an_order_delivered_twice_is_filled_twice(client: redis.Redis) -> None:
    risk = service(client)
    for _ in range(2):
        assert risk.handle(placed(client, order("a"))).status == "filled"
    assert risk.risk()["exposure"] == {"BTC-USD": 40.0}


def test_an_order_is_rejected_while_the_kill_switch_is_on(client: redis.Redis) -> None:
    risk = service(client)
    client.xadd("control", {"kill_switch": "1", "at": ""})
    outcome = risk.handle(placed(client, order("a")))
    assert (outcome.status, outcome.reason) == ("rejected", "kill_switch")
    client.xadd("control", {"kill_switch": "0", "at": ""})
    assert risk.handle(placed(client, order("b"))).status == "filled"
    assert risk.risk() == {"exposure": {"BTC-USD": 20.0}, "pnl": -20.0, "kill_switch": False}


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_the_limit_may_be_reached_and_not_passed(client: redis.Redis, side: str) -> None:
    risk = service(client, Decimal("0.3"))
    for order_id, quantity in (("a", "0.1"), ("b", "0.2")):
        fields = order(order_id, side=side, quantity=quantity, price="1")
        assert risk.handle(placed(client, fields)).status == "filled"
    outcome = risk.handle(placed(client, order("c", side=side, quantity="0.00000001", price="1")))
    assert (outcome.status, outcome.reason) == ("rejected", "exposure_limit")
    assert (
        risk.handle(placed(client, order("d", symbol="ETH-USD", quantity="0.3", price="1"))).status
        == "filled"
    )


def test_a_malformed_order_is_journalled_as_rejected(client: redis.Redis) -> None:
    risk = service(client)
    outcome = risk.handle(placed(client, order("a", quantity="much")))
    assert (outcome.status, outcome.reason) == ("rejected", "malformed")
    (entry,) = journal(client)
    assert (entry["order_id"], entry["status"], entry["reason"]) == ("a", "rejected", "malformed")
    assert risk.risk()["exposure"] == {}


def test_readings_while_orders_are_handled_are_states_that_were(client: redis.Redis) -> None:
    """Each order changes exposure and PnL by the same: a reading in between would show a difference."""
    risk, seen, is_done = service(client), [], threading.Event()

    def read() -> None:
        while not is_done.is_set():
            seen.append(risk.risk())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        risk.handle(placed(client, order(str(number))))
    is_done.set()
    reader.join()
    assert seen
    for reading in seen:
        assert reading["pnl"] == -sum(reading["exposure"].values())
