"""Orders, and an account of them that is kept here, apart from the workers."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

import redis

from workers.orders import Event
from workers.services.risk_service import RiskService

AT = "2026-01-01T00:00:00.000Z"
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
LIMIT_SECONDS = 60
NO_LIMIT = Decimal(10**12)


def order(order_id: str, **changes: str) -> dict[str, str]:
    made = {"symbol": "BTC-USD", "side": "buy", "quantity": "2", "price": "10", "at": AT}
    return {"order_id": order_id, **made, **changes}


def orders(count: int, seed: int) -> list[dict[str, str]]:
    """Amounts that binary fractions cannot hold."""
    draw = random.Random(seed)
    return [
        order(
            f"order-{seed}-{number}",
            symbol=draw.choice(SYMBOLS),
            side=draw.choice(["buy", "sell"]),
            quantity=str(Decimal(draw.randrange(1, 10_000_000)) / 100_000),
            price=str(Decimal(draw.randrange(100, 6_000_000)) / 100),
        )
        for number in range(count)
    ]


def exposure_of(filled: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """Exposure by symbol when each is filled once."""
    return {symbol: float(round(value, 8)) for symbol, value in sorted(_exact_exposure(filled).items())}


def pnl_of(filled: Iterable[Mapping[str, str]]) -> float:
    return float(round(-sum(_exact_exposure(filled).values(), Decimal(0)), 8))


def _exact_exposure(filled: Iterable[Mapping[str, str]]) -> dict[str, Decimal]:
    exposure: dict[str, Decimal] = defaultdict(Decimal)
    for one in filled:
        sign = 1 if one["side"] == "buy" else -1
        exposure[one["symbol"]] += sign * Decimal(one["quantity"]) * Decimal(one["price"])
    return exposure


def service(client: redis.Redis, limit: Decimal = NO_LIMIT) -> RiskService:
    return RiskService(client, limit)


def placed(client: redis.Redis, fields: Mapping[str, str]) -> Event:
    """The event of an order that is written to the stream now."""
    return Event(str(client.xadd("orders", dict(fields))), fields)


def journal(client: redis.Redis) -> list[dict[str, str]]:
    entries: Any = client.xrange("fills")
    return [fields for _, fields in entries]


def journalled(fields: Mapping[str, str], version: str, status: str = "filled") -> dict[str, Any]:
    """The journal entry that a worker of `version` writes."""
    return {**fields, "status": status, "reason": "", "version": version}


def pending(client: redis.Redis) -> int:
    summary: Any = client.xpending("orders", "workers")
    return int(summary["pending"])


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {LIMIT_SECONDS} s for {what}"
        time.sleep(0.02)
