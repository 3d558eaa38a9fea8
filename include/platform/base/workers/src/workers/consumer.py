"""Takes order events by consumer group, one at a time.

Rules:
1. An event is acknowledged in the same transaction that writes its fill: a worker that dies leaves it pending, and
   another one takes it over.
2. An event that is no order is journalled as rejected, counted as an error, and does not stop the worker.
3. Redis may go away: the worker waits, unhealthy, and goes on.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from typing import Any

import redis

from workers import metrics
from workers.order import FILLED, REJECTED, MalformedOrderError, Order, journal_entry
from workers.services.risk_service import RiskService

log = logging.getLogger(__name__)

ORDERS, FILLS, GROUP = "orders", "fills", "workers"
BATCH = 20
BLOCK_MS = 100
TAKE_OVER_AFTER_MS = 5000
TAKE_OVER_EVERY_SECONDS = 1.0
WAIT_FOR_REDIS_SECONDS = 0.2
FRESH_SECONDS = 5.0
LAG_LIMIT = 1000


class Consumer:
    """One worker's part of the stream."""

    def __init__(self, client: redis.Redis, risk: RiskService) -> None:
        self._redis = client
        self._risk = risk
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._alive_at = 0.0
        self._take_over_at = 0.0

    def is_healthy(self) -> bool:
        """Whether Redis was reached a moment ago."""
        return time.monotonic() - self._alive_at < FRESH_SECONDS

    def stop(self) -> None:
        """Finish the event in hand, take no other."""
        self._stop.set()

    def run(self) -> None:
        """Until `stop`."""
        while not self._stop.is_set():
            try:
                self._turn()
            except redis.RedisError as error:
                log.warning("Redis: %s", error)
                self._stop.wait(WAIT_FOR_REDIS_SECONDS)

    def _turn(self) -> None:
        if not self.is_healthy():
            self._join()
        self._risk.follow(self._redis)
        self._alive_at = time.monotonic()
        entries = self._taken_over() or self._new()
        for entry_id, fields in entries:
            if self._stop.is_set():
                return  # what was delivered and not begun stays pending, for another worker
            with metrics.HANDLING.time():
                self.handle(entry_id, fields)
        self._count_lag()

    def handle(self, entry_id: str, fields: dict[str, str]) -> None:
        """One event, to its end."""
        metrics.RECEIVED.inc()
        try:
            order = Order.read(fields)
        except MalformedOrderError as error:
            log.error("event %s is no order: %s", entry_id, error)
            metrics.ERRORS.inc()
            metrics.rejected("malformed")
            self._write(entry_id, journal_entry(fields, REJECTED, "malformed"))
            return
        self._risk.follow(self._redis)
        refusal = self._risk.refusal(order)
        self._write(entry_id, journal_entry(fields, REJECTED if refusal else FILLED, refusal or ""))
        if refusal:
            metrics.rejected(refusal)
        else:
            metrics.FILLED.inc()

    def _write(self, entry_id: str, entry: dict[str, str]) -> None:
        with self._redis.pipeline(transaction=True) as transaction:
            transaction.xadd(FILLS, dict(entry.items()))
            transaction.xack(ORDERS, GROUP, entry_id)
            transaction.execute()

    def _join(self) -> None:
        try:
            self._redis.xgroup_create(ORDERS, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _new(self) -> list[Any]:
        answer: Any = self._redis.xreadgroup(GROUP, self._name, {ORDERS: ">"}, count=BATCH, block=BLOCK_MS)
        return _entries(answer)

    def _taken_over(self) -> list[Any]:
        """Events that a worker was given and has not finished: it is gone."""
        if time.monotonic() < self._take_over_at:
            return []
        self._take_over_at = time.monotonic() + TAKE_OVER_EVERY_SECONDS
        answer: Any = self._redis.xautoclaim(ORDERS, GROUP, self._name, TAKE_OVER_AFTER_MS, count=BATCH)
        return [entry for entry in answer[1] if entry[1]]

    def _count_lag(self) -> None:
        groups: Any = self._redis.xinfo_groups(ORDERS)
        mine = next(group for group in groups if group["name"] == GROUP)
        waiting: Any = self._redis.xrange(ORDERS, min=f"({mine['last-delivered-id']}", count=LAG_LIMIT)
        metrics.LAG.set(len(waiting))


def _entries(answer: Any) -> list[Any]:
    """Entries of the one stream that was read, as RESP2 and RESP3 give them."""
    if not answer:
        return []
    streams = answer.values() if isinstance(answer, dict) else [stream[1] for stream in answer]
    found: list[Any] = []
    for entries in streams:
        nested = entries and isinstance(entries[0], list) and entries[0] and isinstance(entries[0][0], (list, tuple))
        found += entries[0] if nested else entries
    return found
