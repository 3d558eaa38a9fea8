"""The journal of fills against the state kept from it: what has to be equal whatever other traffic does.

Rules:
1. Exposure of a symbol = Σ signed quantity × fill price over all fills; realised PnL = minus the sum of
   all exposures.
2. A version that keeps its state in Redis changes it together with the journal. So from one moment to
   another it moves by
   exactly the journal's entries between: those it wrote itself, and those of others that its cursor has
   passed.
3. What a service answers at some moment is the fold of the journal up to some entry of that moment: one
   not older
   than the last before the question, not newer than the last after the answer.
4. Numbers are Decimal here; the platform adds them up as binary floats, so equal means within TOLERANCE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import redis

FILLS = "fills"
ORDERS = "orders"
GROUP = "workers"
EXPOSURE = "risk:exposure"
CURSOR = "risk:cursor:fills"
TOLERANCE = Decimal("0.000001")
CHUNK = 1000
START = "0-0"

Exposure = Mapping[str, Decimal]
"""symbol -> exposure; a symbol that is not there has 0"""


@dataclass(frozen=True)
class Fill:
    """One entry of the journal."""

    entry: str
    """stream id"""
    order_id: str
    symbol: str
    notional: Decimal
    """signed quantity × price; 0 when rejected"""
    status: str
    reason: str
    version: str


@dataclass(frozen=True)
class Moment:
    """State in Redis and the ends of its streams, read in one transaction."""

    exposure: Exposure
    fills: str
    """id of the newest fill, 0-0 when there is none"""
    orders: str
    """id of the newest order"""
    cursor: str
    """how far fills of other versions are folded in"""


def moment(client: redis.Redis) -> Moment:
    with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(EXPOSURE)
        pipe.xrevrange(FILLS, count=1)
        pipe.xrevrange(ORDERS, count=1)
        pipe.get(CURSOR)
        exposure, fills, orders, cursor = pipe.execute()
    return Moment(
        {symbol: Decimal(value) for symbol, value in exposure.items()},
        fills[0][0] if fills else START,
        orders[0][0] if orders else START,
        cursor or START,
    )


def entries(client: redis.Redis, stream: str, after: str = START) -> Iterator[tuple[str, dict[str, str]]]:
    """Entries of a stream behind `after`, oldest first, in chunks."""
    while True:
        chunk: Any = client.xrange(stream, min=f"({after}", count=CHUNK)
        yield from chunk
        if len(chunk) < CHUNK:
            return
        after = chunk[-1][0]


def fills_after(client: redis.Redis, after: str = START) -> list[Fill]:
    return [_fill(entry, fields) for entry, fields in entries(client, FILLS, after)]


def fold(fills: Iterable[Fill]) -> dict[str, Decimal]:
    """Exposure after these fills, from nothing."""
    return moved({}, fills)


def moved(exposure: Exposure, fills: Iterable[Fill]) -> dict[str, Decimal]:
    """`exposure` after these fills."""
    result = dict(exposure)
    for fill in fills:
        result[fill.symbol] = result.get(fill.symbol, Decimal(0)) + fill.notional
    return result


def expected_exposure(
    before: Moment, after: Moment, fills: Sequence[Fill], version: str
) -> dict[str, Decimal]:
    """What `after.exposure` has to be, by rule 2. `fills` are the journal behind the older of the two
    moments' marks."""

    def is_counted(fill: Fill) -> bool:
        since, until = (
            (before.fills, after.fills) if fill.version == version else (before.cursor, after.cursor)
        )
        return position(since) < position(fill.entry) <= position(until)

    return moved(before.exposure, filter(is_counted, fills))


def is_some_prefix(answer: Exposure, base: Exposure, fills: Sequence[Fill]) -> bool:
    """Whether `answer` is `base` moved by the first n of `fills`, for some n (rule 3)."""
    current = dict(base)
    if equal(answer, current):
        return True
    for fill in fills:
        current = moved(current, [fill])
        if equal(answer, current):
            return True
    return False


def equal(one: Exposure, other: Exposure) -> bool:
    symbols = {*one, *other}
    return all(abs(one.get(s, Decimal(0)) - other.get(s, Decimal(0))) <= TOLERANCE for s in symbols)


def shown_of(exposure: Exposure) -> str:
    """An exposure in a message."""
    return (
        ", ".join(f"{symbol} {value.normalize():f}" for symbol, value in sorted(exposure.items()))
        or "nothing"
    )


def position(entry: str) -> tuple[int, int]:
    """A stream id as something that can be compared."""
    milliseconds, _, number = entry.partition("-")
    return int(milliseconds), int(number or 0)


def unacknowledged(client: redis.Redis, first: str, last: str) -> set[str]:
    """Stream ids of orders in [first, last] that a worker was given and has not acknowledged."""
    pending: Any = client.xpending_range(ORDERS, GROUP, min=first, max=last, count=CHUNK)
    return {entry["message_id"] for entry in pending}


def _fill(entry: str, fields: Mapping[str, str]) -> Fill:
    sign = 1 if fields["side"] == "buy" else -1
    filled = fields["status"] == "filled"
    notional = sign * Decimal(fields["quantity"]) * Decimal(fields["price"]) if filled else Decimal(0)
    return Fill(
        entry,
        fields["order_id"],
        fields["symbol"],
        notional,
        fields["status"],
        fields.get("reason", ""),
        fields.get("version", ""),
    )
