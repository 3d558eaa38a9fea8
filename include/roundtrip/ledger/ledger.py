"""The ledger: append-only, hash-chained, for all releases of one installation.

Rules:
1. An event is never changed and never removed. `append_once` makes a step that runs twice leave one event.
2. Every read checks the hash of what it reads, so nobody decides on an event that was altered.
3. An append checks that the end of the chain is the one that the head row names, and refuses to build on another.
4. Secrets never enter; who appends sees to it.

What `verify` finds: any change in any column of any event or of the head row, events that were removed, inserted, moved
or cut off at the end, and on SQLite a damaged file or index.
What no chain alone can find: somebody with write access who makes the whole chain anew from some event on, head
included, or puts back an older copy of the whole database. Against that, keep an event's hash somewhere else: the dossier
prints the last one, and it has to be found in the ledger again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select
from sqlalchemy.exc import SQLAlchemyError

from roundtrip.errors import LedgerError
from roundtrip.ledger.chain import (
    GENESIS,
    TAMPERED,
    Event,
    Row,
    canonical,
    check_name,
    follows,
    read,
    seal,
    utc_now,
)
from roundtrip.ledger.storage import Storage, events, head

__all__ = ["Event", "Ledger", "utc_now"]

PAGE = 500
"""Rows that `verify` holds in memory at a time."""


class Ledger:
    """The events of `url`: `sqlite:///path` or `postgresql+psycopg://…`. Makes the schema where there is none."""

    def __init__(self, url: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._storage = Storage(url)
        self._clock = clock

    def append(self, release: str, kind: str, data: Mapping[str, Any], *, actor: str = "roundtrip") -> Event:
        """A new event. Raises LedgerError when the data is no JSON or the chain's end is not what it was."""
        body = self._prepared(release, kind, None, actor, data)
        with self._storage.writing() as connection:
            return self._add(connection, release, kind, None, actor, body)

    def append_once(
        self, release: str, kind: str, key: str, data: Mapping[str, Any], *, actor: str = "roundtrip"
    ) -> Event:
        """The event of (release, kind, key): a new one, or the one that is already there, whatever its data."""
        body = self._prepared(release, kind, key, actor, data)
        there = self.last(release, kind, key)
        if there is not None:
            return there
        with self._storage.writing() as connection:
            there = _newest(connection, _filtered(release, kind, key))
            return there or self._add(connection, release, kind, key, actor, body)

    def events(self, release: str | None = None, *, kind: str | None = None, after: int = 0) -> list[Event]:
        """Events in order, of one release and kind or of all, with `seq` above `after`."""
        query = _filtered(release, kind, None).where(events.c.seq > after).order_by(events.c.seq)
        with self._storage.reading() as connection:
            return [read(Row(*row)) for row in connection.execute(query)]

    def last(self, release: str | None, kind: str, key: str | None = None) -> Event | None:
        """The newest event of this kind; of any release or key where None is given."""
        with self._storage.reading() as connection:
            return _newest(connection, _filtered(release, kind, key))

    def take_token(self, environment: str, *, release: str, holder: str) -> int:
        """A fencing token for `environment`, greater than every one given out before: the `seq` of its event."""
        return self.append(release, "token.taken", {"environment": environment, "holder": holder}).seq

    def newest_token(self, environment: str) -> int:
        """The newest token of `environment`, 0 when none was ever taken."""
        query = _filtered(None, "token.taken", None).order_by(events.c.seq.desc())
        with self._storage.reading() as connection:
            for row in connection.execute(query):
                event = read(Row(*row))
                if event.data["environment"] == environment:
                    return event.seq
        return 0

    def verify(self) -> int:
        """The number of events, all of them checked. Raises LedgerError naming the event and what differs."""
        with self._storage.reading() as connection:
            if self._storage.is_sqlite:
                self._check_file(connection)
            seq, previous = 0, GENESIS
            for row in _pages(connection):
                event = read(row)
                seq += 1
                follows(event, seq, previous)
                previous = event.hash
            self._check_head(connection, seq, previous)
        return seq

    def _prepared(self, release: str, kind: str, key: str | None, actor: str, data: Mapping[str, Any]) -> str:
        where = f"{kind} of release {release}"
        for column, value in (("release", release), ("kind", kind), ("key", key), ("actor", actor)):
            check_name(value, column, where=where)
        return canonical(data, where=where)

    def _add(
        self, connection: Connection, release: str, kind: str, key: str | None, actor: str, body: str
    ) -> Event:
        end = connection.execute(select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1)).first()
        seq, previous = (end.seq, end.hash) if end else (0, GENESIS)
        self._check_head(connection, seq, previous)
        row = seal(seq + 1, self._clock(), release, kind, key, actor, body, previous)
        connection.execute(events.insert().values(vars(row)))
        connection.execute(head.update().where(head.c.id == 1).values(seq=row.seq, hash=row.hash))
        return read(row)

    def _check_head(self, connection: Connection, seq: int, last_hash: str) -> None:
        rows = [tuple(row) for row in connection.execute(select(head.c.id, head.c.seq, head.c.hash))]
        if rows != [(1, seq, last_hash)]:
            raise LedgerError(
                f"the chain ends with event {seq} and hash {last_hash}, its head row says {rows}",
                where=f"event {seq}",
                remedy=TAMPERED,
            )

    def _check_file(self, connection: Connection) -> None:
        # A damaged index hides events from readers although every row is whole.
        answer = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check(1)")]
        if answer != ["ok"]:
            raise LedgerError(f"the file is damaged: {answer}", where=self._storage.place, remedy=TAMPERED)


def _filtered(release: str | None, kind: str | None, key: str | None) -> Select[Any]:
    query = select(events)
    for column, value in ((events.c.release, release), (events.c.kind, kind), (events.c.key, key)):
        if value is not None:
            query = query.where(column == value)
    return query


def _newest(connection: Connection, query: Select[Any]) -> Event | None:
    row = connection.execute(query.order_by(events.c.seq.desc()).limit(1)).first()
    return read(Row(*row)) if row else None


def _pages(connection: Connection) -> Iterator[Row]:
    """All rows in order. One that the database cannot even read is named by the event before it."""
    query, after = select(events).order_by(events.c.seq), None
    size = PAGE
    while True:
        page = query.limit(size) if after is None else query.where(events.c.seq > after).limit(size)
        try:
            rows = [Row(*row) for row in connection.execute(page)]
        except SQLAlchemyError as error:
            if size == 1:
                raise LedgerError(f"cannot be read: {error.args[0]}", where=f"event after {after or 0}", remedy=TAMPERED) from error
            size = 1
            continue
        if not rows:
            return
        yield from rows
        after = rows[-1].seq
