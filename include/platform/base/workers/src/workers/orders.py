"""An order as the stream gives it.

Rules:
1. Amounts are decimal: what clients wrote is what is counted.
2. A malformed event still has an order id, its own or one made of its place in the stream, so that it is
   journalled, and journalled once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

_SYMBOL = re.compile(r"[A-Z0-9]{1,12}-[A-Z0-9]{1,12}")
_SIGNS = {"buy": 1, "sell": -1}
_MOST_QUANTITY = Decimal(1000)
_MOST_PRICE = Decimal(2**53)
_LONGEST_FIELD = 64
_JOURNALLED = ("symbol", "side", "quantity", "price")


@dataclass(frozen=True)
class Event:
    """One entry of the stream `orders`, in hand but not acknowledged."""

    entry_id: str
    fields: Mapping[str, str]


@dataclass(frozen=True)
class Trade:
    """What a filled order changes."""

    symbol: str
    quantity: Decimal
    """signed: what is sold is negative"""
    notional: Decimal
    """signed quantity x price, in quote currency"""


@dataclass(frozen=True)
class Order:
    order_id: str
    trade: Trade | None
    """None when the event is malformed"""
    journalled: Mapping[str, str]
    """symbol, side, quantity and price as they came"""


@dataclass(frozen=True)
class Outcome:
    """What became of an event."""

    order_id: str
    status: str
    """filled, rejected, or duplicated: counted before"""
    reason: str
    """why it was rejected, else empty"""


def order_of(event: Event) -> Order:
    """Never raises: whatever came has to be journalled."""
    order_id = event.fields.get("order_id", "")
    is_named = 0 < len(order_id) <= _LONGEST_FIELD
    return Order(
        order_id=order_id if is_named else f"malformed:{event.entry_id}",
        trade=trade_of(event.fields) if is_named else None,
        journalled={name: event.fields.get(name, "")[:_LONGEST_FIELD] for name in _JOURNALLED},
    )


def trade_of(fields: Mapping[str, str]) -> Trade | None:
    """The trade that an order or a journal entry is about; None when it cannot be told."""
    symbol, sign = fields.get("symbol", ""), _SIGNS.get(fields.get("side", ""))
    quantity = _amount(fields.get("quantity", ""), _MOST_QUANTITY)
    price = _amount(fields.get("price", ""), _MOST_PRICE)
    if sign is None or quantity is None or price is None or not _SYMBOL.fullmatch(symbol):
        return None
    return Trade(symbol, sign * quantity, sign * quantity * price)


def _amount(text: str, most: Decimal) -> Decimal | None:
    if len(text) > _LONGEST_FIELD:
        return None
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and 0 < value <= most else None
