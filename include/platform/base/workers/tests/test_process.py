"""Workers as processes, killed and drained while orders flow."""

from __future__ import annotations

import random
import time

import pytest
import redis

from tests.redis_server import RedisServer
from tests.trading import exposure_of, journal, order, orders, pending, placed, pnl_of, wait
from tests.worker_process import running


def is_settled(client: redis.Redis, count: int) -> bool:
    return len(journal(client)) >= count and pending(client) == 0


def test_every_order_counts_once_when_workers_are_killed_at_random_moments(
    server: RedisServer, client: redis.Redis
) -> None:
    placed_orders, draw = orders(500, seed=7), random.Random(7)
    client.xgroup_create("orders", "workers", id="0", mkstream=True)
    for fields in placed_orders[:5]:
        placed(client, fields)
    client.xreadgroup("workers", "dead", {"orders": ">"})
    with running(server.url, count=3) as workers:
        for number, fields in enumerate(placed_orders[5:]):
            placed(client, fields)
            if number in (120, 240):
                time.sleep(draw.uniform(0, 0.01))  # the moment of the kill is what is drawn
                workers[number // 120 - 1].kill()
        with running(server.url) as (new,):
            wait(lambda: is_settled(client, 500), "all orders to be acknowledged")
            filled = [entry["order_id"] for entry in journal(client)]
            assert sorted(filled) == sorted(fields["order_id"] for fields in placed_orders)
            account = {"exposure": exposure_of(placed_orders), "pnl": pnl_of(placed_orders)}
            for worker in (workers[2], new):
                assert worker.get("/risk") == {**account, "kill_switch": False}


def test_it_drains_and_forgets_its_consumer(server: RedisServer, client: redis.Redis) -> None:
    with running(server.url) as (worker,):
        placed(client, order("a"))
        wait(lambda: is_settled(client, 1), "the order")
        assert worker.get("/positions") == {
            "positions": [{"symbol": "BTC-USD", "quantity": 2.0, "exposure": 20.0}]
        }
        assert 'orders_filled_total{service="workers"' in worker.text("/metrics")
        assert worker.status("/nothing") == 404
        code, lines = worker.drain()
    assert code == 0
    assert [line["message"] for line in lines] == ["listening", "drained"]
    assert "secret" not in str(lines)
    assert client.xinfo_consumers("orders", "workers") == []


def test_it_is_unhealthy_while_redis_is_away_and_drains_then_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = RedisServer(tmp_path_factory.mktemp("redis"), is_kept=True)
    server.start()
    try:
        with running(server.url) as (worker,):
            server.kill()
            wait(lambda: worker.status() == 503, "the worker to be unhealthy")
            assert worker.status("/risk") == 503
            assert worker.status("/metrics") == 200
            server.start()
            wait(lambda: worker.status() == 200, "the worker to be healthy again")
            server.kill()
            wait(lambda: worker.status() == 503, "the worker to be unhealthy again")
            code, lines = worker.drain()
    finally:
        server.kill()
    assert code == 0
    assert "secret" not in str(lines)
