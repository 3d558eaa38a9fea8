"""The step of a rollback that takes state back: what the ledger knows of it, who may do it, and when it may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roundtrip.errors import RollbackError, StaleTokenError
from roundtrip.rollback.guarding import holds
from roundtrip.rollback.state import revert_state
from roundtrip.rollout import aside
from roundtrip.targets.bundles import file_digest
from tests.rollback.conftest import ENVIRONMENT, Reached


def test_the_ledger_has_counts_digest_and_name_of_the_copy_and_no_value(reached: Reached) -> None:
    reached.client.hset("risk:exposure", "BTC-USD", "a-secret-amount")
    revert_state(reached.release)
    [copy] = reached.copies()
    event = reached.release.ledger.last(reached.release.id, "state.copied")
    assert event is not None
    assert event.data == {
        "environment": ENVIRONMENT,
        "file": copy.name,
        "digest": file_digest(copy),
        "size_bytes": copy.stat().st_size,
        "keys": 1,
        "by_pattern": {"risk:*": 1},
        "kept_until": aside.read_header(copy).kept_until,
    }
    everything = json.dumps([dict(e.data) for e in reached.release.ledger.events()])
    assert "a-secret-amount" not in everything
    assert b"a-secret-amount" in copy.read_bytes()
    step = reached.release.ledger.last(reached.release.id, "rollback.step")
    assert step is not None
    assert step.data["detail"] == "copied 1 keys aside, removed 1 of 1.1.0"
    assert reached.client.keys() == [b"orders"]


def test_run_again_it_changes_nothing_and_makes_no_second_copy(reached: Reached) -> None:
    revert_state(reached.release)
    before = reached.copies()
    revert_state(reached.release)
    assert reached.copies() == before
    assert len(reached.release.ledger.events(reached.release.id, kind="state.copied")) == 1


def test_while_the_new_version_runs_nothing_is_touched(reached: Reached) -> None:
    reached.runs("1.1.0")
    with pytest.raises(RollbackError, match=r"expected 1\.1\.0 to have stopped, it still runs"):
        revert_state(reached.release)
    assert reached.client.exists("risk:exposure")
    assert reached.copies() == []


def test_only_the_newest_token_holds(reached: Reached) -> None:
    ledger = reached.release.ledger
    token = ledger.take_token(ENVIRONMENT, release="r", holder="first")
    guard = holds(reached.release, ENVIRONMENT, token)
    guard()
    ledger.take_token("another_production", release="r", holder="second")
    guard()
    newest = ledger.take_token(ENVIRONMENT, release="r", holder="second")
    with pytest.raises(StaleTokenError, match=f"token {token} is older than {newest}"):
        guard()


def test_a_copy_is_removed_after_its_time_and_not_before(reached: Reached) -> None:
    revert_state(reached.release)
    [copy] = reached.copies()
    leftover = copy.with_name(f".{copy.name}.killed")
    leftover.write_bytes(b"half")
    kept = timedelta(days=reached.release.plan.rollback.state_kept_days)
    now = datetime.now(UTC)
    assert aside.remove_expired(reached.release.home, now + kept - timedelta(minutes=1)) == []
    assert reached.copies() == [copy]
    [header] = aside.remove_expired(reached.release.home, now + kept + timedelta(minutes=1))
    assert (header.release, header.environment) == (reached.release.id, ENVIRONMENT)
    assert reached.copies() == []


def test_a_damaged_copy_is_left_for_a_person_and_stops_nobody(reached: Reached, tmp_path: Path) -> None:
    revert_state(reached.release)
    [copy] = reached.copies()
    copy.write_bytes(b"\x00not a copy")
    assert aside.remove_expired(reached.release.home, datetime.now(UTC) + timedelta(days=999)) == []
    assert copy.exists()
