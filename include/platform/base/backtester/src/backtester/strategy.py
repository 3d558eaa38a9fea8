"""A moving-average crossover on recorded daily prices: hold while the fast average is above the slow one.

Rules:
1. A decision made on one day's close is carried out at that close and earns the next day's change, never its own day's.
2. The same request always gives the same answer.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

LONGEST_AVERAGE = 400


class RequestError(Exception):
    """The request cannot be run; `field` is what has to change."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Request:
    symbol: str
    fast: int
    """days of the fast average"""
    slow: int

    @classmethod
    def read(cls, data: Any) -> Request:  # noqa: ANN401 - whatever JSON can hold
        """Raises RequestError for the first field that cannot be used."""
        if not isinstance(data, Mapping):
            raise RequestError("expected a JSON object", "")
        symbol = data.get("symbol")
        if not isinstance(symbol, str) or symbol not in prices():
            raise RequestError(f"symbol is none of {', '.join(prices())}", "symbol")
        fast, slow = (_days(name, data.get(name)) for name in ("fast", "slow"))
        if fast >= slow:
            raise RequestError("fast has to be below slow", "fast")
        return cls(symbol, fast, slow)


def _days(name: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST_AVERAGE:
        raise RequestError(f"{name} is no whole number from 1 to {LONGEST_AVERAGE}", name)
    return value


@cache
def prices() -> dict[str, tuple[float, ...]]:
    """The bundled daily closes by symbol."""
    with files("backtester").joinpath("prices.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {symbol: tuple(float(row[symbol]) for row in rows) for symbol in rows[0] if symbol != "day"}


def run(request: Request) -> dict[str, Any]:
    """The body of the answer."""
    closes = prices()[request.symbol]
    equity, is_held, trades = [1.0], False, 0
    for day in range(request.slow, len(closes)):
        wants = _average(closes, day, request.fast) > _average(closes, day, request.slow)
        trades += wants != is_held
        is_held = wants
        change = closes[day] / closes[day - 1] if is_held else 1.0
        equity.append(equity[-1] * change)
    return {
        "symbol": request.symbol,
        "trades": trades,
        "return_percent": round((equity[-1] - 1) * 100, 4),
        "max_drawdown_percent": round(_drawdown(equity) * 100, 4),
        "equity": [round(value, 6) for value in equity],
    }


def _average(closes: Sequence[float], day: int, length: int) -> float:
    """Of the `length` closes before `day`."""
    return sum(closes[day - length : day]) / length


def _drawdown(equity: Sequence[float]) -> float:
    highest, worst = equity[0], 0.0
    for value in equity:
        highest = max(highest, value)
        worst = max(worst, 1 - value / highest)
    return worst
