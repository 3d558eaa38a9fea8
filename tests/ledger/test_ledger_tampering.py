"""Whatever is changed behind the ledger's back is found, and named by the event's number."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from roundtrip.errors import LedgerError
from roundtrip.ledger.ledger import Ledger

COLUMNS = ("at", "release", "kind", "key", "actor", "data", "previous", "hash")


def filled(url: str) -> Ledger:
    ledger = Ledger(url)
    ledger.append("r1", "a", {"n": 1})
    ledger.append_once("r1", "b", "k", {"weight_percent": 10})
    ledger.take_token("local_staging", release="r1", holder="wave")
    ledger.append("r2", "a", {})
    return ledger


def change(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    filled(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def test_every_byte_of_every_column_is_covered(sqlite_file: Path):
    """Each byte of each stored column in turn gets one bit flipped, is looked for, and is put back."""
    ledger = Ledger(f"sqlite:///{sqlite_file}")
    tried = 0
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as connection:
        for seq in (1, 2, 3, 4):
            for column in COLUMNS:
                select = f'SELECT CAST("{column}" AS BLOB) FROM roundtrip_events WHERE seq = {seq}'  # noqa: S608
                update = f'UPDATE roundtrip_events SET "{column}" = CAST(? AS TEXT) WHERE seq = {seq}'  # noqa: S608
                (before,) = connection.execute(select).fetchone()
                for position in range(len(before or b"")):
                    for bit in (0x01, 0x80):
                        after = bytearray(before)
                        after[position] ^= bit
                        connection.execute(update, (bytes(after),))
                        with pytest.raises(LedgerError, match=rf"event (after )?({seq}|{seq - 1})\b"):
                            ledger.verify()
                        tried += 1
                if before is not None:
                    connection.execute(update, (before,))
        assert ledger.verify() == 4
    assert tried > 1500


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_byte_changed_in_the_file_is_found_or_changed_no_event(sqlite_file: Path, data):
    whole = sqlite_file.read_bytes()
    url = f"sqlite:///{sqlite_file}"
    events = Ledger(url).events()
    position = data.draw(st.integers(100, len(whole) - 1))
    broken = bytearray(whole)
    broken[position] ^= data.draw(st.integers(1, 255))
    for suffix in ("-wal", "-shm"):
        Path(f"{sqlite_file}{suffix}").unlink(missing_ok=True)
    sqlite_file.write_bytes(bytes(broken))
    try:
        ledger = Ledger(url)
        assert ledger.verify() == len(events)
        assert ledger.events() == events
        assert ledger.newest_token("local_staging") == 3
    except LedgerError:
        pass
    finally:
        sqlite_file.write_bytes(whole)


STATEMENTS = {
    "seq moved to a free number": ["UPDATE roundtrip_events SET seq = 99 WHERE seq = 2"],
    "two events swapped": [
        "UPDATE roundtrip_events SET seq = 99 WHERE seq = 1",
        "UPDATE roundtrip_events SET seq = 1 WHERE seq = 2",
        "UPDATE roundtrip_events SET seq = 2 WHERE seq = 99",
    ],
    "first removed": ["DELETE FROM roundtrip_events WHERE seq = 1"],
    "middle removed": ["DELETE FROM roundtrip_events WHERE seq = 2"],
    "tail cut off": ["DELETE FROM roundtrip_events WHERE seq = 4"],
    "all removed": ["DELETE FROM roundtrip_events"],
    "key taken away": ["UPDATE roundtrip_events SET key = NULL WHERE seq = 2"],
    "key made empty": ["UPDATE roundtrip_events SET key = '' WHERE seq = 1"],
    "inserted at the end": [
        "INSERT INTO roundtrip_events SELECT 5, at, release, kind, 'x', actor, data, hash, hash "
        "FROM roundtrip_events WHERE seq = 4"
    ],
    "inserted before the first": [
        "INSERT INTO roundtrip_events SELECT -1, at, release, kind, 'x', actor, data, previous, hash "
        "FROM roundtrip_events WHERE seq = 1"
    ],
    "head moved back": ["UPDATE roundtrip_head SET seq = 3"],
    "head's hash changed": ["UPDATE roundtrip_head SET hash = 'f' || substr(hash, 2, 62) || 'f'"],
    "head's id changed": ["UPDATE roundtrip_head SET id = 2"],
    "head removed": ["DELETE FROM roundtrip_head"],
    "second head": ["INSERT INTO roundtrip_head SELECT 2, seq, hash FROM roundtrip_head"],
    "all and head removed": ["DELETE FROM roundtrip_events", "DELETE FROM roundtrip_head"],
}


@pytest.mark.parametrize("what", STATEMENTS)
def test_rows_that_were_removed_moved_or_inserted_are_found(new_url, what):
    url = new_url()
    ledger = filled(url)
    change(url, *STATEMENTS[what])
    with pytest.raises(LedgerError, match=r"at event -?\d+"):
        ledger.verify()


@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_column_is_found_and_named_by_number_in_both_databases(new_url, column):
    url = new_url()
    ledger = filled(url)
    change(url, f'UPDATE roundtrip_events SET "{column}" = "{column}" || \' \' WHERE seq = 2')  # noqa: S608
    with pytest.raises(LedgerError, match="at event 2 "):
        ledger.verify()
    with pytest.raises(LedgerError, match="at event 2 "):
        ledger.events()


def test_nobody_decides_on_an_event_that_was_altered(new_url):
    url = new_url()
    ledger = filled(url)
    change(url, "UPDATE roundtrip_events SET data = replace(data, '10', '11') WHERE seq = 2")
    with pytest.raises(LedgerError, match="hash: its columns give"):
        ledger.last("r1", "b", "k")


def test_a_cut_off_tail_is_not_built_upon(new_url):
    url = new_url()
    ledger = filled(url)
    change(url, "DELETE FROM roundtrip_events WHERE seq = 4")
    with pytest.raises(LedgerError, match="the chain ends with event 3"):
        ledger.append("r2", "a", {})
    assert [event.seq for event in ledger.events()] == [1, 2, 3]
