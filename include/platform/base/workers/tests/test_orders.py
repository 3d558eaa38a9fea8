from __future__ import annotations

from decimal import Decimal

import pytest

from tests.trading import order
from workers.orders import Event, Trade, order_of


def test_amounts_are_what_the_client_wrote() -> None:
    event = Event("5-1", order("a", side="sell", quantity="0.1", price="1e-7"))
    assert order_of(event).trade == Trade("BTC-USD", Decimal("-0.1"), Decimal("-0.1") * Decimal("1e-7"))


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "NaN"},
        {"quantity": "0"},
        {"quantity": "-1"},
        {"quantity": "1000.1"},
        {"quantity": "1" + "0" * 100},
        {"price": "Infinity"},
        {"price": "ten"},
        {"price": "1e30"},
        {"side": "hold"},
        {"symbol": ""},
        {"symbol": "BTC USD"},
    ],
)
def test_a_malformed_order_keeps_its_id(changes: dict[str, str]) -> None:
    made = order_of(Event("5-1", order("a", **changes)))
    assert (made.order_id, made.trade) == ("a", None)
    assert max(len(text) for text in made.journalled.values()) <= 64


@pytest.mark.parametrize("order_id", ["", "x" * 65])
def test_an_order_that_cannot_be_named_is_named_after_its_place(order_id: str) -> None:
    made = order_of(Event("5-1", order(order_id)))
    assert (made.order_id, made.trade) == ("malformed:5-1", None)


def test_an_event_without_any_known_field_is_malformed() -> None:
    made = order_of(Event("5-1", {"hello": "world"}))
    assert made.trade is None
    assert made.journalled == {"symbol": "", "side": "", "quantity": "", "price": ""}
