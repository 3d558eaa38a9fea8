"""What goes into the ledger comes out, once, in order, and only what JSON can hold goes in."""

from __future__ import annotations

import json
import math
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from roundtrip.errors import LedgerError, LedgerUnavailableError
from roundtrip.ledger.chain import GENESIS
from roundtrip.ledger.ledger import Ledger

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(st.text(), values, max_size=4)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)


def test_an_event_is_returned_as_it_is_read_back(new_url):
    ledger = Ledger(new_url(), clock=lambda: NOON)
    appended = ledger.append("r1", "converge.started", {"b": [1, 2.5], "a": "é\u0000"}, actor="ann")
    (stored,) = ledger.events()
    assert stored == appended
    assert (stored.seq, stored.at, stored.key, stored.actor) == (1, NOON, None, "ann")
    assert stored.data == {"a": "é\u0000", "b": [1, 2.5]}
    assert stored.previous == GENESIS


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(st.tuples(names, names, documents), max_size=6))
def test_any_json_goes_through_unchanged_and_the_chain_holds(tmp_path_factory, entries):
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('l')}/ledger.db")
    appended = [ledger.append(release, kind, data) for release, kind, data in entries]
    assert ledger.events() == appended
    assert [json.dumps(event.data, sort_keys=True) for event in appended] == [
        json.dumps(data, sort_keys=True) for _, _, data in entries
    ]
    assert [event.seq for event in appended] == list(range(1, len(entries) + 1))
    assert ledger.verify() == len(entries)


def test_append_once_keeps_the_first_of_release_kind_and_key(new_url):
    ledger = Ledger(new_url())
    first = ledger.append_once("r1", "gate.verdict", "g", {"verdict": "FAIL"})
    assert ledger.append_once("r1", "gate.verdict", "g", {"verdict": "PASS"}) == first
    others = [("r2", "gate.verdict", "g"), ("r1", "gate.pulled", "g"), ("r1", "gate.verdict", "h")]
    assert [ledger.append_once(*other, {}).seq for other in others] == [2, 3, 4]
    assert ledger.verify() == 4


def test_events_are_filtered_by_release_kind_and_position(new_url):
    ledger = Ledger(new_url())
    for release, kind in (("r1", "a"), ("r2", "a"), ("r1", "b"), ("r1", "a")):
        ledger.append(release, kind, {})
    assert [e.seq for e in ledger.events()] == [1, 2, 3, 4]
    assert [e.seq for e in ledger.events("r1")] == [1, 3, 4]
    assert [e.seq for e in ledger.events("r1", kind="a", after=1)] == [4]
    assert ledger.last(None, "a").seq == 4
    assert ledger.last("r2", "a").seq == 2
    assert ledger.last("r2", "b") is None


def test_last_finds_by_key(new_url):
    ledger = Ledger(new_url())
    ledger.append_once("r", "k", "one", {"n": 1})
    ledger.append_once("r", "k", "two", {"n": 2})
    assert ledger.last("r", "k", "one").data == {"n": 1}
    assert ledger.last("r", "k").data == {"n": 2}
    assert ledger.last("r", "k", "three") is None


def test_each_token_is_newer_than_all_before_it_and_belongs_to_one_environment(new_url):
    ledger = Ledger(new_url())
    assert ledger.newest_token("local_staging") == 0
    first = ledger.take_token("local_staging", release="r1", holder="staging")
    other = ledger.take_token("local_production", release="r1", holder="wave")
    second = ledger.take_token("local_staging", release="r2", holder="rollback")
    assert first < other < second
    assert ledger.newest_token("local_staging") == second
    assert ledger.newest_token("local_production") == other


@pytest.mark.parametrize(
    "data",
    [
        {"x": math.nan},
        {"x": [{"y": math.inf}]},
        {"x": -math.inf},
        {"x": datetime.now(UTC)},
        {"x": {1: "one"}},
        {"x": {"set"}},
        {"x": b"bytes"},
        {"x": 10**5000},
    ],
    ids=["nan", "infinity", "minus-infinity", "datetime", "number-as-key", "set", "bytes", "too-long-number"],
)
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(new_url, data):
    ledger = Ledger(new_url())
    with pytest.raises(LedgerError, match="not plain JSON"):
        ledger.append("r", "k", data)
    with pytest.raises(LedgerError, match="not plain JSON"):
        ledger.append_once("r", "k", "key", data)
    assert ledger.events() == []


def test_data_nested_without_end_is_refused(new_url):
    data: dict[str, object] = {}
    data["x"] = data
    with pytest.raises(LedgerError, match="not plain JSON"):
        Ledger(new_url()).append("r", "k", data)


@pytest.mark.parametrize("name", ["a\x00b", "line\nbreak", "\ud800"])
def test_a_name_that_cannot_be_printed_is_refused(new_url, name):
    ledger = Ledger(new_url())
    with pytest.raises(LedgerError, match="release is not printable"):
        ledger.append(name, "k", {})
    with pytest.raises(LedgerError, match="key is not printable"):
        ledger.append_once("r", "k", name, {})
    assert ledger.verify() == 0


def test_time_is_kept_in_utc_and_a_time_without_zone_is_our_bug(new_url):
    url = new_url()
    east = timezone(timedelta(hours=9))
    assert Ledger(url, clock=lambda: NOON.astimezone(east)).append("r", "k", {}).at == NOON
    with pytest.raises(RuntimeError, match="without a zone"):
        Ledger(url, clock=lambda: NOON.replace(tzinfo=None)).append("r", "k", {})
    assert Ledger(url).verify() == 1


def test_a_ledger_is_readable_by_its_owner_only_and_leaves_no_other_file(tmp_path: Path):
    path = tmp_path / "deep" / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}")
    ledger.append("r", "k", {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {p.name for p in path.parent.iterdir()} <= {"ledger.db", "ledger.db-wal", "ledger.db-shm"}
    path.chmod(0o644)
    Ledger(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_url_that_cannot_hold_a_ledger_is_refused_without_showing_its_password():
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "no url"):
        with pytest.raises(LedgerError) as caught:
            Ledger(url)
        assert "hunter2" not in str(caught.value)


def test_an_unreachable_server_is_an_error_that_does_not_show_the_password():
    with pytest.raises(LedgerError, match="the database refused") as caught:
        Ledger("postgresql+psycopg://ann:hunter2@127.0.0.1:9/ledger?connect_timeout=2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.retriable, "it may come back"


def test_what_cannot_be_written_now_may_be_tried_again(tmp_path: Path):
    """As on a full disk: no page more than there are."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.append("r", "k", {})

    def full(connection: Any, _record: object) -> None:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(ledger._storage._engine, "connect", full)
    with pytest.raises(LedgerUnavailableError, match="full") as caught:
        ledger.append("r", "k", {"long": "x" * 100_000})
    assert caught.value.retriable
    event.remove(ledger._storage._engine, "connect", full)
    ledger.append("r", "k", {"long": "x" * 100_000})
    assert ledger.verify() == 2


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path):
    path = tmp_path / "ledger.db"
    path.write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    with pytest.raises(LedgerError, match="the database refused") as caught:
        Ledger(f"sqlite:///{path}").append("r", "k", {})
    assert not caught.value.retriable
    assert path.read_bytes().startswith(b"something else")


def test_threads_share_one_ledger_object(new_url):
    ledger = Ledger(new_url())
    threads = [threading.Thread(target=ledger.append, args=("r", "k", {"n": n})) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ledger.verify() == 16
    assert {event.data["n"] for event in ledger.events()} == set(range(16))
