"""The chain: how an event becomes text and a hash, and what a stored row has to fulfil to be an event again.

Rules:
1. Data is canonical JSON: sorted keys, no spaces, ASCII, keys are strings; NaN, infinities and anything that
   JSON does not have are refused.
2. The hash of an event is sha256 over all its other columns as they are stored, among them the hash of the
   one before.
3. A row is read back strictly: wrong type, wrong hash, wrong place raise a LedgerError that names the event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from roundtrip.errors import LedgerError

GENESIS = "0" * 64
"""What the first event names as the one before it."""

FORMAT = "roundtrip-ledger-1"
"""Hashed with every event, so that a later format can never be taken for this one."""

TAMPERED = (
    "somebody or something changed the ledger; keep a copy, restore it from a backup and ask who had access"
)


def utc_now() -> datetime:
    """The time now, aware, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Event:
    """One thing that happened. `data` is plain JSON and holds no secret."""

    seq: int
    """1, 2, 3, … over the whole ledger, without a gap"""
    at: datetime
    """when it was appended, aware, UTC; order is given by `seq`, never by this"""
    release: str
    kind: str
    key: str | None
    """makes the event the only one of its release and kind; None when there may be several"""
    actor: str
    data: Mapping[str, Any]
    previous: str
    """hash of the event before, GENESIS for the first"""
    hash: str


@dataclass(frozen=True)
class Row:
    """An event exactly as it is stored."""

    seq: int
    at: str
    release: str
    kind: str
    key: str | None
    actor: str
    data: str
    previous: str
    hash: str = ""


def seal(row: Row) -> Row:
    """`row` with the hash of its other columns."""
    return replace(row, hash=_hash(row))


def moment(at: datetime) -> str:
    """A time as it is stored: UTC, microseconds."""
    if at.tzinfo is None:
        raise RuntimeError("the ledger's clock gave a time without a zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def canonical(data: Mapping[str, Any], *, where: str) -> str:
    """`data` as canonical JSON. Raises LedgerError for what JSON cannot hold."""
    try:
        _check_keys(data)
        return json.dumps(dict(data), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise LedgerError(
            f"data is not plain JSON: {error}",
            where=where,
            remedy="give strings, finite numbers, lists and mappings",
        ) from error


def check_name(value: str | None, column: str, *, where: str) -> None:
    """Names are printable: a control character or half a surrogate pair is stored by each database in its
    way.
    """
    if value is not None and not value.isprintable():
        raise LedgerError(
            f"{column} is not printable: {value!a}", where=where, remedy="use letters, digits and signs"
        )


def read(row: Row) -> Event:
    """The event in `row`. Raises LedgerError when a column is not what was appended."""
    where = f"event {row.seq!r}"
    if type(row.seq) is not int:
        raise LedgerError(f"seq: expected a whole number, got {row.seq!r}", where=where, remedy=TAMPERED)
    for column in ("at", "release", "kind", "actor", "data", "previous", "hash"):
        if not isinstance(getattr(row, column), str):
            raise LedgerError(
                f"{column}: expected text, got {getattr(row, column)!r}", where=where, remedy=TAMPERED
            )
    if row.key is not None and not isinstance(row.key, str):
        raise LedgerError(f"key: expected text or nothing, got {row.key!r}", where=where, remedy=TAMPERED)
    expected = _hash(row)
    if row.hash != expected:
        raise LedgerError(
            f"hash: its columns give {expected}, recorded {row.hash!a}", where=where, remedy=TAMPERED
        )
    at, data = datetime.fromisoformat(row.at), json.loads(row.data)
    return Event(row.seq, at, row.release, row.kind, row.key, row.actor, data, row.previous, row.hash)


def follows(event: Event, seq: int, previous: str) -> None:
    """`event` is number `seq` and names `previous` as the one before it, or a LedgerError."""
    where = f"event {event.seq}"
    if event.seq != seq:
        raise LedgerError(f"seq: expected {seq}, got {event.seq}", where=where, remedy=TAMPERED)
    if event.previous != previous:
        raise LedgerError(
            f"previous: expected {previous}, got {event.previous}", where=where, remedy=TAMPERED
        )


def _hash(row: Row) -> str:
    columns = [FORMAT, row.seq, row.at, row.release, row.kind, row.key, row.actor, row.data, row.previous]
    return hashlib.sha256(json.dumps(columns, separators=(",", ":")).encode("ascii")).hexdigest()


def _check_keys(value: Any) -> None:
    """JSON would make a string of the key 1 without a word, and then 1 and "1" are the same."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} is not a string")
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)
