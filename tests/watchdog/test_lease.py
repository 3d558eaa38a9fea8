"""The lease in its folder: held, renewed, ended, and never another release's."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip import lease
from roundtrip.errors import TargetError
from roundtrip.lease import Lease

HELD = Lease("r1", "sqlite:///l.db", 60.0, "1.1.0", {"name": "p"}, {"name": "e"}, {})


def mark(folder: Path, release: str = "r1") -> str | None:
    renewal = lease.last_renewal(folder, release)
    return renewal.mark if renewal else None


def test_what_is_held_is_read_and_each_renewal_has_another_mark(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    assert lease.read(tmp_path) == HELD
    marks = {mark(tmp_path)}
    for holder in ("wave 1", "gate", "gate"):
        assert lease.renew(tmp_path, "r1", holder)
        marks.add(mark(tmp_path))
    assert len(marks) == 4
    renewal = lease.last_renewal(tmp_path, "r1")
    assert renewal is not None
    assert renewal.holder == "gate"


def test_nobody_renews_or_ends_the_lease_of_another_release(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    before = mark(tmp_path)
    assert not lease.renew(tmp_path, "r2", "gate")
    lease.end(tmp_path, "r2")
    assert (lease.read(tmp_path), mark(tmp_path)) == (HELD, before)
    lease.hold(tmp_path, replace(HELD, release="r2"), "wave 1")
    assert not lease.renew(tmp_path, "r1", "gate")
    assert mark(tmp_path) is None
    assert mark(tmp_path, "r2") is not None


def test_what_has_ended_is_not_renewed_and_may_end_again(tmp_path: Path) -> None:
    assert not lease.renew(tmp_path, "r1", "gate")
    lease.hold(tmp_path, HELD, "wave 1")
    lease.end(tmp_path, "r1")
    lease.end(tmp_path, "r1")
    assert lease.read(tmp_path) is None
    assert not lease.renew(tmp_path, "r1", "gate")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"release": "r1"}', '{"surprise": 1}'])
def test_a_lease_that_cannot_be_read_is_said_and_a_renewal_counts_as_none(tmp_path: Path, text: str) -> None:
    folder = lease.folder_of(tmp_path)
    lease.hold(tmp_path, HELD, "wave 1")
    (folder / lease.RENEWED).write_text(text)
    assert mark(tmp_path) is None
    (folder / lease.HELD).write_text(text)
    with pytest.raises(TargetError, match=r"held\.json"):
        lease.read(tmp_path)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    lease.hold(tmp_path, HELD, "wave 1")
    for file in lease.folder_of(tmp_path).iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
