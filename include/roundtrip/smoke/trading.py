"""Simulated trades with known ids, and the proof that each counted once (plan 3.2: placing simulated
trades)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import redis

from roundtrip.smoke.door import FrontDoor, json_of, request, require, wait_until
from roundtrip.smoke.journal import (
    ORDERS,
    Fill,
    Moment,
    entries,
    equal,
    expected_exposure,
    fills_after,
    moment,
    position,
    shown_of,
    unacknowledged,
)

TRADES = 20
FILL_LIMIT_SECONDS = 30.0
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")

Ending = tuple[str, str]
"""an order's status and reason in the journal"""
FILLED: Ending = ("filled", "")
KILL_SWITCH: Ending = ("rejected", "kill_switch")


@dataclass(frozen=True)
class Trade:
    """One order that the test placed."""

    id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal

    def body(self) -> dict[str, Any]:
        number = {"quantity": float(self.quantity), "price": float(self.price)}
        return {"order_id": self.id, "symbol": self.symbol, "side": self.side, **number}


def simulated_trades(door: FrontDoor) -> None:
    """Orders placed at the front door are each filled exactly once, and exposures move by exactly that
    amount."""
    with door.redis() as state, door.client() as client:
        before = moment(state)
        trades = make_trades(TRADES)
        place(client, trades)
        wait_filled(door, state, trades, before, limit_seconds=FILL_LIMIT_SECONDS)
        require_filled_once(door, state, trades, before)
        for trade in trades:
            shown = json_of(request(client, "GET", f"/api/orders/{trade.id}", 200))
            is_filled = (
                shown.get("status") == "filled" and abs(shown.get("price", 0) - float(trade.price)) < 1e-6
            )
            require(
                is_filled, f"order {trade.id}: expected filled at {trade.price}, got {shown}", door.front_door
            )
        require_exact_move(door, state, before)


def make_trades(count: int) -> list[Trade]:
    """Small orders whose sum is not zero: twice as much bought as sold."""
    return [
        Trade(
            id=str(uuid.uuid4()),
            symbol=SYMBOLS[number % len(SYMBOLS)],
            side="sell" if number % 3 == 2 else "buy",
            quantity=Decimal(1 + number % 4) / 100,
            price=Decimal(20) + Decimal(number) / 4,
        )
        for number in range(count)
    ]


def place(client: httpx.Client, trades: Sequence[Trade]) -> None:
    """Place each order once. Raises SmokeError when one is not accepted."""
    for trade in trades:
        answer = json_of(request(client, "POST", "/api/orders", 202, json=trade.body()))
        require(
            answer.get("order_id") == trade.id and answer.get("status") == "accepted",
            f"expected order {trade.id} accepted, got {answer}",
            str(client.base_url),
        )


def wait_filled(
    door: FrontDoor, state: redis.Redis, trades: Sequence[Trade], before: Moment, *, limit_seconds: float
) -> None:
    """Return once every trade is in the journal and acknowledged, so that nothing will deliver it again."""
    ids = {trade.id for trade in trades}

    def not_in_journal() -> str | None:
        missing = ids - {fill.order_id for fill in fills_after(state, before.fills)}
        return f"{len(missing)} of {len(ids)} orders are not in the journal" if missing else None

    wait_until(not_in_journal, where=door.front_door, limit_seconds=limit_seconds)
    mine = {entry for entry, fields in entries(state, ORDERS, before.orders) if fields["order_id"] in ids}
    require(len(mine) == len(ids), f"orders: expected {len(ids)} entries, got {len(mine)}", door.front_door)
    first, last = min(mine, key=position), max(mine, key=position)

    def not_acknowledged() -> str | None:
        left = unacknowledged(state, first, last) & mine
        return f"{len(left)} of {len(ids)} orders are not acknowledged" if left else None

    wait_until(not_acknowledged, where=door.front_door, limit_seconds=limit_seconds)


def require_filled_once(
    door: FrontDoor,
    state: redis.Redis,
    trades: Sequence[Trade],
    before: Moment,
    *,
    allowed: Collection[Ending] = (FILLED,),
) -> None:
    """Every trade is in the journal exactly once, ended as is allowed. Raises SmokeError naming those that are not."""
    journal = fills_after(state, before.fills)
    count = Counter(fill.order_id for fill in journal)
    by_id: dict[str, Fill] = {fill.order_id: fill for fill in journal}
    wrong = [f"{t.id} {count[t.id]} times" for t in trades if count[t.id] != 1]
    wrong += [
        f"{t.id} {by_id[t.id].status} ({by_id[t.id].reason})"
        for t in trades
        if t.id in by_id and (by_id[t.id].status, by_id[t.id].reason) not in allowed
    ]
    ending = " or ".join(sorted({status for status, _ in allowed}))
    require(
        not wrong,
        f"orders {ending} exactly once: expected all {len(trades)}, but " + ", ".join(wrong[:10]),
        door.front_door,
    )


def require_exact_move(door: FrontDoor, state: redis.Redis, before: Moment) -> None:
    """Exposure in Redis moved from `before` to now by exactly what the journal says, other traffic
    included."""
    after = moment(state)
    journal = fills_after(state, min(before.fills, before.cursor, key=position))
    expected = expected_exposure(before, after, journal, door.version)
    require(
        equal(expected, after.exposure),
        f"exposure: expected {shown_of(expected)}, got {shown_of(after.exposure)}",
        door.front_door,
    )
