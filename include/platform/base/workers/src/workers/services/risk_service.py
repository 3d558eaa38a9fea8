"""Fills orders and keeps the risk: exposure, quantity, PnL and kill switch, in the memory of this process.

Rules:
1. The state is the fold of the streams `fills` and `control` from their beginnings, which are read on before
   each order and before each answer: so it survives a restart, and holds what another worker filled.
2. An order is rejected while the kill switch is on, or when the absolute exposure of its symbol would pass
   the limit. It is filled at its own price.
3. The journal entry of an order and the acknowledgement of its event are written in one transaction.
4. Amounts are decimal, and shown with SHOWN_PLACES.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import redis

from workers.identity import VERSION
from workers.orders import Event, Order, Outcome, Trade, order_of, trade_of
from workers.services.order_stream import GROUP, STREAM

FILLS = "fills"
CONTROL = "control"
SHOWN_PLACES = 8
_PAGE = 1000

Entry = tuple[str, dict[str, str]]


class RiskService:
    def __init__(self, client: redis.Redis, exposure_limit: Decimal) -> None:
        self._redis = client
        self._exposure_limit = exposure_limit
        self._exposure: dict[str, Decimal] = defaultdict(Decimal)
        self._quantity: dict[str, Decimal] = defaultdict(Decimal)
        self._realised = Decimal(0)
        self._is_kill_switch_on = False
        self._last = {FILLS: "0-0", CONTROL: "0-0"}
        # HTTP requests read what the loop writes.
        self._lock = threading.Lock()

    def handle(self, event: Event) -> Outcome:
        """Fill or reject the order, journal it and acknowledge its event."""
        order = order_of(event)
        with self._lock:
            self._catch_up()
            status, reason = self._decide(order.trade)
        entry = _journal_entry(order, status, reason)
        transaction = self._redis.pipeline(transaction=True)
        transaction.xadd(FILLS, cast(dict[Any, Any], entry))
        transaction.xack(STREAM, GROUP, event.entry_id)
        transaction.execute()
        return Outcome(order.order_id, status, reason)

    def catch_up(self) -> None:
        """Read on to the end of the journal."""
        with self._lock:
            self._catch_up()

    def risk(self) -> dict[str, object]:
        """Body of GET /risk."""
        with self._lock:
            self._catch_up()
            exposure = {symbol: shown(value) for symbol, value in sorted(self._exposure.items())}
            pnl, kill_switch = shown(self._realised), self._is_kill_switch_on
        return {"exposure": exposure, "pnl": pnl, "kill_switch": kill_switch}

    def positions(self) -> dict[str, object]:
        """Body of GET /positions."""
        with self._lock:
            self._catch_up()
            positions = [
                {"symbol": symbol, "quantity": shown(self._quantity[symbol]), "exposure": shown(value)}
                for symbol, value in sorted(self._exposure.items())
            ]
        return {"positions": positions}

    def _decide(self, trade: Trade | None) -> tuple[str, str]:
        if trade is None:
            return "rejected", "malformed"
        if self._is_kill_switch_on:
            return "rejected", "kill_switch"
        exposure = self._exposure.get(trade.symbol, Decimal(0)) + trade.notional
        if round(abs(exposure), SHOWN_PLACES) > self._exposure_limit:
            return "rejected", "exposure_limit"
        return "filled", ""

    def _catch_up(self) -> None:
        """Read on to the end of both streams, which only grow: bounded by what is written meanwhile."""
        while True:
            pages = self._redis.pipeline(transaction=False)
            for stream, last in self._last.items():
                pages.xrange(stream, min=f"({last}", count=_PAGE)
            fills, control = cast(list[list[Entry]], pages.execute())
            for entry_id, fields in fills:
                self._count(fields)
                self._last[FILLS] = entry_id
            for entry_id, fields in control:
                self._is_kill_switch_on = fields.get("kill_switch", "0") == "1"
                self._last[CONTROL] = entry_id
            if len(fills) < _PAGE and len(control) < _PAGE:
                return

    def _count(self, fields: Mapping[str, str]) -> None:
        trade = trade_of(fields) if fields.get("status") == "filled" else None
        if trade is None:
            return
        self._exposure[trade.symbol] += trade.notional
        self._quantity[trade.symbol] += trade.quantity
        self._realised -= trade.notional


def _journal_entry(order: Order, status: str, reason: str) -> dict[str, str]:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    outcome = {"status": status, "reason": reason, "version": VERSION, "at": at}
    return {"order_id": order.order_id, **order.journalled, **outcome}


def shown(value: Decimal) -> float:
    """Rounded; never the -0.0 that JSON would show."""
    return float(round(value, SHOWN_PLACES)) + 0.0
