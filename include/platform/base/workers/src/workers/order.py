"""An order, as the api puts it into the stream, and what is written of it into the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from workers import VERSION

FILLED, REJECTED = "filled", "rejected"


class MalformedOrderError(Exception):
    """The event is no order; nothing can be filled."""


@dataclass(frozen=True)
class Order:
    order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Order:
        """Raises MalformedOrderError."""
        try:
            order = cls(
                fields["order_id"],
                fields["symbol"],
                fields["side"],
                Decimal(fields["quantity"]),
                Decimal(fields["price"]),
            )
        except (KeyError, InvalidOperation) as error:
            raise MalformedOrderError(f"{type(error).__name__}: {error}") from error
        numbers = (order.quantity, order.price)
        if order.side not in ("buy", "sell") or not all(n.is_finite() and n > 0 for n in numbers):
            raise MalformedOrderError("side, quantity or price is out of range")
        return order

    @property
    def signed_quantity(self) -> Decimal:
        return self.quantity if self.side == "buy" else -self.quantity

    @property
    def signed_notional(self) -> Decimal:
        """Quantity times price, positive for a buy: what it adds to the exposure. It fills at its price."""
        return self.signed_quantity * self.price


def journal_entry(fields: Mapping[str, str], status: str, reason: str = "") -> dict[str, str]:
    """The fields of a `fills` entry."""
    kept = {name: fields.get(name, "") for name in ("order_id", "symbol", "side", "quantity", "price")}
    at = datetime.now(UTC).isoformat()
    return {**kept, "status": status, "reason": reason, "version": VERSION, "at": at}
