"""Fills orders and keeps the risk: exposure, quantity, PnL and kill switch, all of it in Redis.

Rules:
1. No amounts are kept in this process: any worker may handle any event, and any worker's answer is right.
2. An order counts once, whatever happens: one script looks it up in `risk:applied`, checks it, moves the
   amounts, journals it and acknowledges its event; all of that is done, or nothing.
3. An order is decided on only when everything that was journalled before is counted. What workers of 1.0.0
   filled (`fills`) and kill switch events (`control`) are folded in behind cursors, in a script too, once per
   order.
4. An order is rejected while the kill switch is on, or when the absolute exposure of its symbol would pass
   the limit. It is filled at its own price.
5. One thread of a process folds at a time: many that read the same page, to lose the race for it, would hold
   up the one that wins.
6. Amounts are multiplied here, as decimals, and added up by HINCRBYFLOAT. They are shown with SHOWN_PLACES.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import cast

import redis

from workers.identity import VERSION
from workers.orders import Event, Order, Outcome, Trade, order_of, trade_of

FILLS = "fills"
CONTROL = "control"
EXPOSURE = "risk:exposure"
QUANTITY = "risk:quantity"
PNL = "risk:pnl"
REALISED = "realised"
KILL_SWITCH = "risk:kill_switch"
APPLIED = "risk:applied"
FILLS_CURSOR = "risk:cursor:fills"
CONTROL_CURSOR = "risk:cursor:control"
SHOWN_PLACES = 8
_PAGE = 500
_MOST_TRIES = 100

Entry = tuple[str, dict[str, str]]

_COUNT = """
local function count(symbol, quantity, notional, cash)
  redis.call("HINCRBYFLOAT", "risk:exposure", symbol, notional)
  redis.call("HINCRBYFLOAT", "risk:quantity", symbol, quantity)
  redis.call("HINCRBYFLOAT", "risk:pnl", "realised", cash)
  redis.call("HINCRBYFLOAT", "risk:pnl", "cash:" .. symbol, cash)
end
"""

_FOLD = (
    _COUNT
    + """
-- ARGV: cursors as they were read, cursors after this page, kill switch (or empty), then 6 an entry
if (redis.call("GET", "risk:cursor:fills") or "0-0") ~= ARGV[1] then return 0 end
if (redis.call("GET", "risk:cursor:control") or "0-0") ~= ARGV[2] then return 0 end
for i = 6, #ARGV, 6 do
  local order_id, status = ARGV[i], ARGV[i + 1]
  if redis.call("HSETNX", "risk:applied", order_id, status) == 1 and status == "filled" then
    count(ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  end
end
redis.call("SET", "risk:cursor:fills", ARGV[3])
redis.call("SET", "risk:cursor:control", ARGV[4])
if ARGV[5] ~= "" then redis.call("SET", "risk:kill_switch", ARGV[5]) end
return 1
"""
)

_HANDLE = (
    _COUNT
    + """
local entry_id, order_id, is_malformed = ARGV[1], ARGV[2], ARGV[3] == "1"
local symbol, quantity, notional, cash, limit = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])

local function is_behind(stream, cursor)
  local from = "(" .. (redis.call("GET", cursor) or "0-0")
  return #redis.call("XRANGE", stream, from, "+", "COUNT", 1) > 0
end
if is_behind("fills", "risk:cursor:fills") or is_behind("control", "risk:cursor:control") then
  return {"behind", ""}
end

if redis.call("HEXISTS", "risk:applied", order_id) == 1 then
  redis.call("XACK", "orders", "workers", entry_id)
  return {"duplicated", ""}
end

local status, reason = "filled", ""
if is_malformed then
  status, reason = "rejected", "malformed"
elseif redis.call("GET", "risk:kill_switch") == "1" then
  status, reason = "rejected", "kill_switch"
else
  local exposure = tonumber(redis.call("HGET", "risk:exposure", symbol) or "0") + tonumber(notional)
  -- half of the last place shown: what is shown as the limit does not pass it
  if math.abs(exposure) > limit + 5e-9 then status, reason = "rejected", "exposure_limit" end
end

if status == "filled" then count(symbol, quantity, notional, cash) end
redis.call("HSET", "risk:applied", order_id, status)
local journalled = {"order_id", order_id, "status", status, "reason", reason}
for i = 9, #ARGV do journalled[#journalled + 1] = ARGV[i] end
redis.call("SET", "risk:cursor:fills", redis.call("XADD", "fills", "*", unpack(journalled)))
redis.call("XACK", "orders", "workers", entry_id)
return {status, reason}
"""
)


class FoldBehindError(redis.RedisError):
    """The journal grew faster than it could be folded in; trying again later can help."""


class _Progress(Enum):
    DONE = "everything that was there is counted"
    MORE = "a page is counted, and there are others"
    LOST = "another worker moved a cursor first"


class RiskService:
    def __init__(self, client: redis.Redis, exposure_limit: Decimal) -> None:
        self._redis = client
        self._exposure_limit = exposure_limit
        self._fold_script = client.register_script(_FOLD)
        self._handle_script = client.register_script(_HANDLE)
        self._folding = threading.Lock()

    def handle(self, event: Event) -> Outcome:
        """Fill or reject the order, journal it and acknowledge its event, once. Raises FoldBehindError."""
        order = order_of(event)
        arguments = self._arguments(event, order)
        for _ in range(_MOST_TRIES):
            status, reason = cast(list[str], self._handle_script(args=arguments))
            if status != "behind":
                return Outcome(order.order_id, status, reason)
            self.catch_up()
        raise FoldBehindError(f"{FILLS} or {CONTROL} still grows after {_MOST_TRIES} tries")

    def catch_up(self) -> None:
        """Count what other workers and the kill switch wrote. Raises FoldBehindError."""
        lost = 0
        while lost < _MOST_TRIES:
            with self._folding:
                progress = self._fold_page()
            if progress is _Progress.DONE:
                return
            lost = lost + 1 if progress is _Progress.LOST else 0
        raise FoldBehindError(f"others folded {FILLS} and {CONTROL} first, {_MOST_TRIES} times on end")

    def risk(self) -> dict[str, object]:
        """Body of GET /risk."""
        self.catch_up()
        reading = self._redis.pipeline(transaction=True)
        reading.hgetall(EXPOSURE)
        reading.hget(PNL, REALISED)
        reading.get(KILL_SWITCH)
        exposure, pnl, kill_switch = reading.execute()
        return {
            "exposure": {symbol: shown(value) for symbol, value in sorted(exposure.items())},
            "pnl": shown(pnl or "0"),
            "kill_switch": kill_switch == "1",
        }

    def positions(self) -> dict[str, object]:
        """Body of GET /positions."""
        self.catch_up()
        reading = self._redis.pipeline(transaction=True)
        reading.hgetall(EXPOSURE)
        reading.hgetall(QUANTITY)
        exposure, quantity = reading.execute()
        positions = [
            {"symbol": symbol, "quantity": shown(quantity.get(symbol, "0")), "exposure": shown(value)}
            for symbol, value in sorted(exposure.items())
        ]
        return {"positions": positions}

    def _fold_page(self) -> _Progress:
        fills_cursor = cast(str | None, self._redis.get(FILLS_CURSOR)) or "0-0"
        control_cursor = cast(str | None, self._redis.get(CONTROL_CURSOR)) or "0-0"
        pages = self._redis.pipeline(transaction=False)
        pages.xrange(FILLS, min=f"({fills_cursor}", count=_PAGE)
        pages.xrange(CONTROL, min=f"({control_cursor}", count=_PAGE)
        fills, control = cast(list[list[Entry]], pages.execute())
        if not fills and not control:
            return _Progress.DONE
        arguments = [
            fills_cursor,
            control_cursor,
            fills[-1][0] if fills else fills_cursor,
            control[-1][0] if control else control_cursor,
            _switch(control),
        ]
        for _, fields in fills:
            arguments += _counted(fields)
        if self._fold_script(args=arguments) != 1:
            return _Progress.LOST
        is_last = len(fills) < _PAGE and len(control) < _PAGE
        return _Progress.DONE if is_last else _Progress.MORE

    def _arguments(self, event: Event, order: Order) -> list[str]:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        journalled = {**order.journalled, "version": VERSION, "at": at}
        return [
            event.entry_id,
            order.order_id,
            "0" if order.trade else "1",
            *_amounts(order.trade),
            f"{self._exposure_limit:f}",
            *(text for pair in journalled.items() for text in pair),
        ]


def _switch(control: list[Entry]) -> str:
    """What the last event says; empty when there is none."""
    if not control:
        return ""
    return "1" if control[-1][1].get("kill_switch") == "1" else "0"


def _counted(fields: Mapping[str, str]) -> list[str]:
    """A journal entry for the fold: one that says it is filled and cannot be counted, is not."""
    trade = trade_of(fields)
    status = fields.get("status", "")
    if trade is None and status == "filled":
        status = "rejected"
    return [fields.get("order_id", ""), status, *_amounts(trade)]


def _amounts(trade: Trade | None) -> list[str]:
    if trade is None:
        return ["", "0", "0", "0"]
    return [trade.symbol, f"{trade.quantity:f}", f"{trade.notional:f}", f"{-trade.notional:f}"]


def shown(value: str) -> float:
    """Rounded; never the -0.0 that JSON would show."""
    return float(round(Decimal(value), SHOWN_PLACES)) + 0.0
