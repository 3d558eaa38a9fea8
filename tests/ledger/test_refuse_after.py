"""A door that was closed stays closed, whoever comes late."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.errors import StaleTokenError
from roundtrip.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def test_a_task_that_runs_again_after_its_rollback_has_begun_gets_no_token(ledger: Ledger) -> None:
    before = ledger.take_token("e", release="r", holder="wave", refuse_after=("rollback.begun",))
    ledger.append_once("r", "rollback.begun", "rollback", {})
    with pytest.raises(StaleTokenError, match=r"token of e for wave: refused, rollback\.begun"):
        ledger.take_token("e", release="r", holder="wave", refuse_after=("rollback.begun",))
    assert ledger.newest_token("e") == before
    assert ledger.take_token("e", release="r", holder="rollback") > before


def test_promoted_is_refused_once_the_rollback_has_begun(ledger: Ledger) -> None:
    ledger.append_once("r", "rollback.begun", "rollback", {})
    with pytest.raises(StaleTokenError, match="promoted: refused"):
        ledger.append_once("r", "promoted", "e", {}, refuse_after=("rollback.begun",))
    assert ledger.last("r", "promoted") is None


def test_an_event_already_there_is_returned_also_after_the_door_was_closed(ledger: Ledger) -> None:
    first = ledger.append_once("r", "deployed", "e", {"version": "1"}, refuse_after=("rollback.begun",))
    ledger.append_once("r", "rollback.begun", "rollback", {})
    assert ledger.append_once("r", "deployed", "e", {}, refuse_after=("rollback.begun",)) == first


def test_another_release_is_not_refused(ledger: Ledger) -> None:
    ledger.append_once("r", "rollback.begun", "rollback", {})
    assert ledger.take_token("e", release="s", holder="wave", refuse_after=("rollback.begun",)) == 2
