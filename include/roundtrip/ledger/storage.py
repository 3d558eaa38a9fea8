"""Storage: where the chain lies, and the discipline that lets one writer write at a time.

Rules:
1. A writer takes the database's one write lock first (SQLite: BEGIN IMMEDIATE, PostgreSQL: an advisory lock
   that ends with the transaction), then reads the head, then writes. So there is no gap and no fork, and a
   writer that is killed leaves nothing behind.
2. What was committed survives a power cut: SQLite runs with synchronous=FULL, since a token that was given
   out must never be given out again.
3. No connection outlives a call, so a ledger may be used from threads and carried over a fork.
4. A SQLite ledger is made beside its place and linked there, whole and readable by its owner only.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    NullPool,
    Table,
    Text,
    create_engine,
    event,
    inspect,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from roundtrip.errors import LedgerError, LedgerUnavailableError
from roundtrip.ledger.chain import GENESIS

LOCK_SECONDS = 30
"""How long a writer waits for the one before it; an append takes milliseconds."""

ADVISORY_LOCK = 0x726F756E64747269
"""The key of the writers' lock in PostgreSQL; any constant that nobody else uses."""

DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error, UnicodeError)
"""What a database raises. The last two come from a damaged SQLite file, on paths where SQLAlchemy wraps
nothing.
"""

UNAVAILABLE = (OperationalError, sqlite3.OperationalError)
"""Of those: not reachable, locked, full, cannot be read at the moment."""

_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

events = Table(
    "roundtrip_events",
    metadata,
    Column("seq", _NUMBER, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("release", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("key", Text),
    Column("actor", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("previous", Text, nullable=False),
    Column("hash", Text, nullable=False),
)
Index("roundtrip_events_once", events.c.release, events.c.kind, events.c.key, unique=True)
Index("roundtrip_events_by_release", events.c.release, events.c.kind, events.c.seq)
Index("roundtrip_events_by_kind", events.c.kind, events.c.seq)

head = Table(
    "roundtrip_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", _NUMBER, nullable=False),
    Column("hash", Text, nullable=False),
)
"""One row, the newest event's number and hash: what shows that the tail of the chain is still there."""


class Storage:
    """One database that holds one ledger."""

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
        except ArgumentError as error:
            raise LedgerError(
                "the ledger's URL cannot be read", remedy="give sqlite:///… or postgresql+psycopg://…"
            ) from error
        self.place = self._url.render_as_string(hide_password=True)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            _make_file(self._url, self.place)
        elif self._url.get_backend_name() != "postgresql":
            raise LedgerError(
                "unknown kind of database",
                where=self.place,
                remedy="give sqlite:///… or postgresql+psycopg://…",
            )
        self._engine = _engine(self._url)
        if not self.is_sqlite:
            self._make_schema()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the ledger."""
        engine = self._engine
        if not self.is_sqlite:
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with _explained(self.place), engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the one write lock (rule 1)."""
        engine = self._engine.execution_options(roundtrip_writes=True)
        with _explained(self.place), engine.begin() as connection:
            if not self.is_sqlite:
                connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            yield connection

    def _make_schema(self) -> None:
        with _explained(self.place), self._engine.connect() as connection:
            if inspect(connection).has_table(head.name):
                return
        with self.writing() as connection:
            if not inspect(connection).has_table(head.name):
                _create(connection)


def _create(connection: Connection) -> None:
    metadata.create_all(connection)
    connection.execute(head.insert().values(id=1, seq=0, hash=GENESIS))


def _engine(url: URL) -> Engine:
    # NullPool is rule 3; parameters are hidden since an error's text ends in a task's log.
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool, hide_parameters=True, isolation_level="READ COMMITTED")
    engine = create_engine(
        url,
        poolclass=NullPool,
        hide_parameters=True,
        connect_args={"timeout": LOCK_SECONDS, "check_same_thread": False},
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(dbapi_connection: Any, _record: object) -> None:
    # The driver would begin by itself, and too late for rule 1.
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("roundtrip_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_file(url: URL, place: str) -> None:
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise LedgerError(
            "a ledger has to be in a file", where=place, remedy="give sqlite:///path/to/ledger.db"
        )
    path = Path(url.database)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _link_new_file(url, path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise LedgerUnavailableError(
            f"the ledger's file cannot be made: {error.strerror}",
            where=place,
            remedy="check the folder and its owner",
        ) from error


def _link_new_file(url: URL, path: Path) -> None:
    """Rule 4. `mkstemp` makes the file with mode 0600; of several that link at once one wins, all have a
    ledger.
    """
    handle, beside = tempfile.mkstemp(prefix=path.name + ".", suffix=".new", dir=path.parent)
    os.close(handle)
    try:
        engine = _engine(url.set(database=beside))
        with _explained(beside):
            with engine.connect() as connection:
                connection.connection.cursor().execute("PRAGMA journal_mode = WAL")
            with engine.begin() as connection:
                _create(connection)
        try:
            os.link(beside, path)
        except FileExistsError:
            return
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(beside + suffix).unlink(missing_ok=True)


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """What the database says, as a LedgerError; the password in the URL is not part of it."""
    try:
        yield
    except DATABASE_ERRORS as error:
        reason = str(getattr(error, "orig", None) or error)
        kind = LedgerUnavailableError if isinstance(error, UNAVAILABLE) else LedgerError
        raise kind(
            f"the database refused: {reason}",
            where=place,
            remedy="check that it is there, whole and writable, and try again",
        ) from error
