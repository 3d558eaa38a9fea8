"""What a watch does when its one safe thing does not succeed at once: it says so, and tries again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roundtrip import lease
from roundtrip.errors import RoundtripError, StaleTokenError, TargetError
from roundtrip.lease import Lease
from roundtrip.watchdog.taking_back import TakingBack
from roundtrip.watchdog.watching import RETRY_SECONDS, Watch

HELD = Lease("r1", "sqlite:///l.db", 5.0, "1.1.0", {}, {}, {})
DONE = {"holder": "wave 1"}
DOWN = TargetError("the proxy is down")


class Bent:
    """Takes back as the test says: each try ends with what is next."""

    def __init__(
        self, *ends: RoundtripError | OSError | dict[str, Any] | None, ledger: Iterator[bool]
    ) -> None:
        self.ends = list(ends)
        self.ledger = ledger
        self.tried_at: list[float] = []
        self.failures: list[str] = []
        self.now = 0.0

    def pull(self) -> dict[str, Any] | None:
        self.tried_at.append(self.now)
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def record(self, _done: object) -> bool:
        return next(self.ledger)

    def record_failure(self, why: str) -> None:
        self.failures.append(why)


def watched(folder: Path, bent: Bent, seconds: float) -> None:
    """Looked at four times a second, never renewed."""
    watch = Watch(folder, lambda *_: bent)  # type: ignore[arg-type, return-value]
    for look in range(int(seconds * 4) + 1):
        bent.now = look / 4
        watch.look(bent.now)


@pytest.mark.parametrize("problem", [DOWN, OSError(28, "No space left on device")])
def test_what_fails_is_said_and_tried_again_for_as_long_as_it_has_lapsed(
    tmp_path: Path, problem: Exception
) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    bent = Bent(problem, problem, dict(DONE), ledger=iter([True]))
    watched(tmp_path, bent, 15)
    first, second, third = bent.tried_at
    assert first == HELD.seconds
    assert (second - first, third - second) == (RETRY_SECONDS, RETRY_SECONDS)
    assert bent.failures == [str(problem)] * 2
    assert lease.read(tmp_path) is None
    assert lease.taken_back(tmp_path) is None


def test_who_is_overtaken_gives_whoever_acts_a_full_term(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    bent = Bent(StaleTokenError("token 3 is older than 4"), dict(DONE), ledger=iter([True]))
    watched(tmp_path, bent, 15)
    first, second = bent.tried_at
    assert second - first == HELD.seconds
    assert bent.failures == []


def test_a_release_that_has_ended_is_let_go(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    watched(tmp_path, Bent(None, ledger=iter([])), 15)
    assert lease.read(tmp_path) is None
    assert lease.taken_back(tmp_path) is None


def test_what_the_ledger_does_not_take_is_kept_until_it_does_and_done_once(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    bent = Bent(dict(DONE), ledger=iter([False, False, True]))
    watched(tmp_path, bent, 20)
    assert len(bent.tried_at) == 1
    assert lease.taken_back(tmp_path) is None
    assert next(bent.ledger, None) is None


def test_a_watch_that_begins_anew_tells_what_the_one_before_it_did(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    lease.note_taken_back(tmp_path, HELD, DONE)
    bent = Bent(ledger=iter([True]))
    watched(tmp_path, bent, 1)
    assert bent.tried_at == []
    assert lease.taken_back(tmp_path) is None


def test_a_lease_that_becomes_unreadable_is_still_held_and_not_renewed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    bent = Bent(dict(DONE), ledger=iter([True]))
    watch = Watch(tmp_path, lambda *_: bent)  # type: ignore[arg-type, return-value]
    watch.look(0.0)
    caplog.clear()
    (lease.folder_of(tmp_path) / lease.HELD).write_text("{")
    for look in range(1, 40):
        watch.look(look / 4)
    assert len(bent.tried_at) == 1
    assert not (lease.folder_of(tmp_path) / lease.HELD).exists()
    assert [r.levelname for r in caplog.records if "cannot be read" in r.message] == ["ERROR"], "said once"


def test_a_lease_of_another_roundtrip_is_said_and_acts_on_nothing(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="holds no plan or environment of this Roundtrip"):
        TakingBack(tmp_path, HELD, "wave 1")
