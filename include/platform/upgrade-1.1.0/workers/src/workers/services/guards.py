"""Measures what must never be: a kill switch that is on, an exposure beyond its limit, an order filled twice.

Rules:
1. An order is filled twice when the journal says so; the second entry is counted when this version wrote it.
   A delivery that was recognised as a duplicate writes no entry, so it is none.
2. What is asked of the journal does not depend on `risk:applied`, which is what keeps an order from being
   filled twice.
3. What was not measured for _FRESH_SECONDS is not known, and shown as NaN.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from decimal import Decimal
from typing import cast

import redis

from workers.identity import VERSION
from workers.metrics import Metrics
from workers.services.risk_service import EXPOSURE, FILLS, KILL_SWITCH

_EVERY_SECONDS = 1.0
_FRESH_SECONDS = 10.0
_PAGE = 1000
_REMEMBERED = 50_000
"""Orders; one that is filled again after so many others is not recognised."""

Entry = tuple[str, dict[str, str]]


class Guards:
    def __init__(self, client: redis.Redis, exposure_limit: Decimal, metrics: Metrics) -> None:
        self._redis = client
        self._exposure_limit = exposure_limit
        self._duplicated = metrics.fills_duplicated
        self._measured_at = -math.inf
        self._kill_switch = self._limit_used = 0.0
        self._filled: OrderedDict[str, None] = OrderedDict()
        self._read_to: str | None = None
        metrics.kill_switch.set_function(lambda: self._fresh(self._kill_switch))
        metrics.exposure_limit_used.set_function(lambda: self._fresh(self._limit_used))

    def measure(self) -> None:
        """Once a second at most; raises redis.RedisError when Redis is away."""
        if time.monotonic() < self._measured_at + _EVERY_SECONDS:
            return
        reading = self._redis.pipeline(transaction=True)
        reading.get(KILL_SWITCH)
        reading.hvals(EXPOSURE)
        kill_switch, exposures = reading.execute()
        largest = max((abs(Decimal(value)) for value in exposures), default=Decimal(0))
        self._read_journal()
        self._kill_switch = float(kill_switch == "1")
        self._limit_used = float(largest / self._exposure_limit)
        self._measured_at = time.monotonic()

    def _read_journal(self) -> None:
        """On from where it was read to; at first from a page before its end."""
        if self._read_to is None:
            newest = cast(list[Entry], self._redis.xrevrange(FILLS, count=_PAGE))
            self._remember(newest[::-1], is_counted=False)
        page = None
        while page is None or len(page) == _PAGE:
            page = cast(list[Entry], self._redis.xrange(FILLS, min=f"({self._read_to}", count=_PAGE))
            self._remember(page, is_counted=True)

    def _remember(self, page: list[Entry], *, is_counted: bool) -> None:
        for _, fields in page:
            order_id = fields.get("order_id", "")
            if fields.get("status") != "filled":
                continue
            if is_counted and order_id in self._filled and fields.get("version") == VERSION:
                self._duplicated.inc()
            self._filled[order_id] = None
            if len(self._filled) > _REMEMBERED:
                self._filled.popitem(last=False)
        self._read_to = page[-1][0] if page else self._read_to or "0-0"

    def _fresh(self, value: float) -> float:
        return value if time.monotonic() - self._measured_at <= _FRESH_SECONDS else math.nan
