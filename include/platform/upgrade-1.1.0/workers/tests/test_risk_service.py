"""The risk of 1.1.0: all of it in Redis, each order once, side by side with workers of 1.0.0."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
import redis

from tests.redis_server import RedisServer
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
from workers.redis_connection import connect
from workers.services.order_stream import OrderStream
from workers.services.risk_service import RiskService


def filled_by_stable(client: redis.Redis, fields: dict[str, str], entry_id: str = "0-1") -> None:
    """As a worker of 1.0.0 fills: journal and acknowledgement in one transaction."""
    transaction = client.pipeline(transaction=True)
    transaction.xadd("fills", journalled(fields, "1.0.0"))
    transaction.xack("orders", "workers", entry_id)
    transaction.execute()


def test_nothing_at_all_is_no_exposure(client: redis.Redis) -> None:
    assert service(client).risk() == {"exposure": {}, "pnl": 0.0, "kill_switch": False}
    assert service(client).positions() == {"positions": []}


def test_an_order_is_counted_in_redis_journalled_and_acknowledged(client: redis.Redis) -> None:
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
    assert client.hgetall("risk:exposure") == {"BTC-USD": "-50.05"}
    assert client.hgetall("risk:quantity") == {"BTC-USD": "-0.5"}
    assert client.hgetall("risk:pnl") == {"realised": "50.05", "cash:BTC-USD": "50.05"}
    assert client.hgetall("risk:applied") == {"a": "filled"}
    assert risk.risk() == {"exposure": {"BTC-USD": -50.05}, "pnl": 50.05, "kill_switch": False}
    assert risk.positions() == {"positions": [{"symbol": "BTC-USD", "quantity": -0.5, "exposure": -50.05}]}


def test_replicas_agree_at_every_moment(client: redis.Redis) -> None:
    placed_orders = orders(60, seed=1)
    replicas = [service(client) for _ in range(3)]
    for number, fields in enumerate(placed_orders, 1):
        replicas[number % 3].handle(placed(client, fields))
        account = {"exposure": exposure_of(placed_orders[:number]), "pnl": pnl_of(placed_orders[:number])}
        assert {str(replica.risk()) for replica in replicas} == {str({**account, "kill_switch": False})}


def test_an_order_delivered_twice_counts_once(client: redis.Redis) -> None:
    placed(client, order("a"))
    (event,) = OrderStream(client, "one").take()
    one, other = service(client), service(client)
    assert one.handle(event).status == "filled"
    assert other.handle(event).status == "duplicated"
    assert other.handle(placed(client, order("a"))).status == "duplicated"
    assert len(journal(client)) == 1
    assert pending(client) == 0
    assert one.risk()["exposure"] == {"BTC-USD": 20.0}


def test_replicas_that_handle_the_same_events_at_once_count_each_once(
    server: RedisServer, client: redis.Redis
) -> None:
    placed_orders = orders(60, seed=3)
    events = [placed(client, fields) for fields in placed_orders]

    def handle_all() -> None:
        with connect(server.url) as own:
            for event in events:
                service(own).handle(event)

    replicas = [threading.Thread(target=handle_all) for _ in range(4)]
    for replica in replicas:
        replica.start()
    for replica in replicas:
        replica.join()
    assert len(journal(client)) == 60
    assert service(client).risk()["exposure"] == exposure_of(placed_orders)


def test_the_journal_of_1_0_0_is_counted_once_however_long(client: redis.Redis) -> None:
    placed_orders = orders(1200, seed=4)
    writing = client.pipeline(transaction=False)
    for fields in placed_orders:
        writing.xadd("fills", journalled(fields, "1.0.0"))
    writing.xadd("fills", journalled(order("no"), "1.0.0", status="rejected"))
    writing.xadd("fills", journalled(placed_orders[5], "1.0.0"))  # delivered twice, so filled twice there
    writing.xadd("fills", journalled(order("odd", price="?"), "1.0.0"))
    writing.xadd("control", {"kill_switch": "1", "at": ""})
    writing.execute()
    one, other = service(client), service(client)
    expected = {"exposure": exposure_of(placed_orders), "pnl": pnl_of(placed_orders), "kill_switch": True}
    assert one.risk() == other.risk() == one.risk() == expected
    assert client.hget("risk:applied", "no") == "rejected"


def test_journals_of_both_versions_in_any_mix_are_counted_once(client: redis.Redis) -> None:
    placed_orders = orders(90, seed=5)
    one, other = service(client), service(client)
    for number, fields in enumerate(placed_orders):
        event = placed(client, fields)
        if number % 3 == 0:
            filled_by_stable(client, fields, event.entry_id)
        else:
            (one if number % 3 == 1 else other).handle(event)
        if number % 10 == 0:
            assert other.handle(event).status == "duplicated"
    assert len(journal(client)) == 90
    expected = {"exposure": exposure_of(placed_orders), "pnl": pnl_of(placed_orders), "kill_switch": False}
    assert one.risk() == other.risk() == expected


def test_what_1_0_0_filled_counts_before_the_next_order_is_decided_on(client: redis.Redis) -> None:
    risk = service(client, Decimal(30))
    filled_by_stable(client, order("a"))
    assert risk.handle(placed(client, order("a"))).status == "duplicated"
    outcome = risk.handle(placed(client, order("b")))
    assert (outcome.status, outcome.reason) == ("rejected", "exposure_limit")


def test_folds_that_meet_count_each_entry_once(server: RedisServer, client: redis.Redis) -> None:
    placed_orders = orders(300, seed=6)
    is_done = threading.Event()

    def fold_on() -> None:
        with connect(server.url) as own:
            while not is_done.is_set():
                service(own).risk()

    readers = [threading.Thread(target=fold_on) for _ in range(3)]
    for reader in readers:
        reader.start()
    for fields in placed_orders:
        filled_by_stable(client, fields)
    is_done.set()
    for reader in readers:
        reader.join()
    assert service(client).risk()["exposure"] == exposure_of(placed_orders)
    assert client.hlen("risk:applied") == 300


def test_state_flushed_in_a_rollback_is_made_again_from_the_journal(client: redis.Redis) -> None:
    placed_orders = orders(30, seed=7)
    for fields in placed_orders:
        service(client).handle(placed(client, fields))
    client.xadd("control", {"kill_switch": "1", "at": ""})
    before = service(client).risk()
    keys: Any = client.keys("risk:*")
    client.delete(*keys)
    assert service(client).risk() == before
    assert service(client).handle(placed(client, placed_orders[0])).status == "duplicated"


def test_a_journal_that_was_trimmed_stops_nobody(client: redis.Redis) -> None:
    risk = service(client)
    risk.handle(placed(client, order("a")))
    client.xtrim("fills", maxlen=0)
    assert risk.handle(placed(client, order("b"))).status == "filled"
    assert risk.risk()["exposure"] == {"BTC-USD": 40.0}


def test_sums_stay_exact(client: redis.Redis) -> None:
    """In binary fractions a tenth is not a tenth, and large products lose their last places."""
    risk = service(client)
    placed_orders = [order(str(n), quantity="0.1", price="90071992.54740993") for n in range(400)]
    for fields in placed_orders:
        risk.handle(placed(client, fields))
    assert Decimal(str(client.hget("risk:exposure", "BTC-USD"))) == pytest.approx(
        Decimal("0.1") * Decimal("90071992.54740993") * 400, abs=Decimal("1e-8")
    )


def test_an_order_is_rejected_while_the_kill_switch_is_on(client: redis.Redis) -> None:
    risk = service(client)
    client.xadd("control", {"kill_switch": "1", "at": ""})
    outcome = risk.handle(placed(client, order("a")))
    assert (outcome.status, outcome.reason) == ("rejected", "kill_switch")
    assert client.get("risk:kill_switch") == "1"
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
    other_symbol = order("d", symbol="ETH-USD", quantity="0.3", price="1")
    assert risk.handle(placed(client, other_symbol)).status == "filled"


def test_a_malformed_order_is_journalled_as_rejected_once(client: redis.Redis) -> None:
    risk = service(client)
    event = placed(client, order("a", quantity="much"))
    outcome = risk.handle(event)
    assert (outcome.status, outcome.reason) == ("rejected", "malformed")
    assert risk.handle(event).status == "duplicated"
    (entry,) = journal(client)
    assert (entry["order_id"], entry["status"], entry["reason"]) == ("a", "rejected", "malformed")
    assert risk.risk()["exposure"] == {}


def test_no_amounts_are_kept_in_the_process() -> None:
    risk = RiskService(connect("redis://:none@127.0.0.1:1/0"), Decimal(1))
    held = {type(value).__name__ for value in vars(risk).values()}
    assert held == {"Redis", "Decimal", "Script", "lock"}


def test_a_long_journal_is_folded_once_however_many_ask_for_risk_meanwhile(client: redis.Redis) -> None:
    pages = 6
    for number in range(pages * 500):
        filled_by_stable(client, order(f"old-{number}", quantity="1", price="1"))
    client.config_resetstat()
    risk, answers = service(client), list[object]()
    asking = [threading.Thread(target=lambda: answers.append(risk.risk())) for _ in range(20)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(30)
    assert answers == [{"exposure": {"BTC-USD": 3000.0}, "pnl": -3000.0, "kill_switch": False}] * 20
    stats: dict[str, dict[str, int]] = client.info("commandstats")
    scripts = sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))
    assert scripts <= pages + 1, "one more for the first call, which the server does not know yet"
