"""The ledger: append-only, hash-chained, for all releases of one installation.

Rules:
1. An event is never changed and never removed. `append_once` makes a step that runs twice leave one event.
2. Every read checks the hash of what it reads, so nobody decides on an event that was altered.
3. An append checks that the end of the chain is the one that the head row names, and builds on no other.
4. Secrets never enter; who appends sees to it.
5. `refuse_after` closes a door: once an event of one of these kinds is there for the release, the append is refused,
   decided in the same transaction. So a task that Airflow runs again cannot go forward after its rollback has
   begun.

What `verify` finds: any change in any column of any event or of the head row; events that were removed,
inserted, moved or cut off at the end; on SQLite also a damaged file or index.
What no chain alone can find: somebody with write access who makes the chain anew from some event on, head
included, or puts back an older copy of the whole database. Against that, keep an event's hash somewhere else,
as the dossier does, and look for it in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select

from roundtrip.errors import LedgerError, StaleTokenError
from roundtrip.ledger.chain import (
    GENESIS,
    TAMPERED,
    Event,
    Row,
    canonical,
    check_name,
    follows,
    moment,
    read,
    seal,
    utc_now,
)
from roundtrip.ledger.storage import DATABASE_ERRORS, Storage, events, head

__all__ = ["Event", "Ledger", "utc_now"]

PAGE = 500
"""Rows that `verify` holds in memory at a time."""

# The statements of an append, made once: a thousand gates append a sample every few seconds, and making them anew took a
# third of an append's time.
_OF_KEY = (
    select(events)
    .where(
        events.c.release == bindparam("release"),
        events.c.kind == bindparam("kind"),
        events.c.key == bindparam("key"),
    )
    .order_by(events.c.seq.desc())
    .limit(1)
)
_END = select(events.c.seq, events.c.hash).order_by(events.c.seq.desc()).limit(1)
_HEAD = select(head.c.id, head.c.seq, head.c.hash)
_INSERT = events.insert()
_MOVE_HEAD = head.update().where(head.c.id == 1)


class Ledger:
    """The events in `url`: `sqlite:///path` or `postgresql+psycopg://…`. Makes the schema where there is
    none.
    """

    def __init__(self, url: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.url = url
        """may hold a password"""
        self._storage = Storage(url)
        self._clock = clock

    def append(self, release: str, kind: str, data: Mapping[str, Any], *, actor: str = "roundtrip") -> Event:
        """A new event. Raises LedgerError when the data is no JSON or the chain's end is not what it was."""
        wanted = self._wanted(release, kind, None, actor, data)
        with self._storage.writing() as connection:
            return self._add(connection, wanted)

    def append_once(
        self,
        release: str,
        kind: str,
        key: str,
        data: Mapping[str, Any],
        *,
        actor: str = "roundtrip",
        refuse_after: tuple[str, ...] = (),
    ) -> Event:
        """The event of (release, kind, key): a new one, or the one already there, whatever its data.

        Raises StaleTokenError when the release has an event of one of the kinds `refuse_after`.
        """
        wanted = self._wanted(release, kind, key, actor, data)
        with self._storage.writing() as connection:
            row = connection.execute(_OF_KEY, {"release": release, "kind": kind, "key": key}).first()
            if row is not None:
                return read(Row(*row))
            _refuse(connection, release, refuse_after, wanted=kind)
            return self._add(connection, wanted)

    def events(self, release: str | None = None, *, kind: str | None = None, after: int = 0) -> list[Event]:
        """Events in order, of one release and kind or of all, with `seq` above `after`."""
        query = _filtered(release, kind, None).where(events.c.seq > after).order_by(events.c.seq)
        with self._storage.reading() as connection:
            return [read(Row(*row)) for row in connection.execute(query)]

    def last(self, release: str | None, kind: str, key: str | None = None) -> Event | None:
        """The newest event of this kind; of any release or key where None is given."""
        with self._storage.reading() as connection:
            return _newest(connection, _filtered(release, kind, key))

    def take_token(
        self, environment: str, *, release: str, holder: str, refuse_after: tuple[str, ...] = ()
    ) -> int:
        """A fencing token for `environment`, greater than all given out before: the `seq` of its event.

        Raises StaleTokenError when the release has an event of one of the kinds `refuse_after`.
        """
        wanted = self._wanted(
            release, "token.taken", None, "roundtrip", {"environment": environment, "holder": holder}
        )
        with self._storage.writing() as connection:
            _refuse(connection, release, refuse_after, wanted=f"a token of {environment} for {holder}")
            return self._add(connection, wanted).seq

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

    def _wanted(self, release: str, kind: str, key: str | None, actor: str, data: Mapping[str, Any]) -> Row:
        where = f"{kind} of release {release}"
        for column, value in (("release", release), ("kind", kind), ("key", key), ("actor", actor)):
            check_name(value, column, where=where)
        body = canonical(data, where=where)
        return Row(0, "", release, kind, key, actor, body, GENESIS)

    def _add(self, connection: Connection, wanted: Row) -> Event:
        """`wanted` at the end of the chain, with its number, time and hash; the write lock is held."""
        end = connection.execute(_END).first()
        seq, previous = (end.seq, end.hash) if end else (0, GENESIS)
        self._check_head(connection, seq, previous)
        row = seal(replace(wanted, seq=seq + 1, at=moment(self._clock()), previous=previous))
        connection.execute(_INSERT, vars(row))
        connection.execute(_MOVE_HEAD, {"seq": row.seq, "hash": row.hash})
        return read(row)

    def _check_head(self, connection: Connection, seq: int, last_hash: str) -> None:
        rows = [tuple(row) for row in connection.execute(_HEAD)]
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


def _refuse(connection: Connection, release: str, kinds: tuple[str, ...], *, wanted: str) -> None:
    """Raises StaleTokenError when one of `kinds` is there for the release; the write lock is held."""
    for kind in kinds:
        there = _newest(connection, _filtered(release, kind, None))
        if there is not None:
            raise StaleTokenError(
                f"{wanted}: refused, {kind} is in the ledger since {there.at.isoformat()}",
                where=f"{release}, event {there.seq}",
                remedy="this release is being taken back; nothing of it goes forward any more",
            )


def _pages(connection: Connection) -> Iterator[Row]:
    """All rows in order. One that the database cannot even read is named by the event before it."""
    query, after = select(events).order_by(events.c.seq), None
    size = PAGE
    while True:
        page = query.limit(size) if after is None else query.where(events.c.seq > after).limit(size)
        try:
            rows = [Row(*row) for row in connection.execute(page)]
        except DATABASE_ERRORS as error:
            if size == 1:
                raise LedgerError(
                    f"cannot be read: {error.args[0]}", where=f"event after {after or 0}", remedy=TAMPERED
                ) from error
            size = 1
            continue
        if not rows:
            return
        yield from rows
        after = rows[-1].seq
