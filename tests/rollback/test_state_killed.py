"""Killed at any line: each key is in Redis or in a copy that the ledger knows, and the next run ends where one would."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from roundtrip.rollback.state import COPIED, revert_state
from roundtrip.rollout import aside
from tests.rollback.conftest import Reached

KEYS = 600
SEED = 20261124
KILLS = 15
OURS = tuple(
    f"/roundtrip/{module}.py"
    for module in (
        "rollback/state",
        "rollback/copying",
        "rollback/removing",
        "rollback/guarding",
        "rollback/in_flight",
        "rollout/aside",
        "durable",
    )
)
KILLED = 9


def in_child(call: Callable[[], None], *, die_at: int | None, counted: Path) -> int:
    """Run `call` in a process of its own that is gone at its `die_at`-th line of ours: no `finally`, no flush."""
    child = os.fork()
    if child == 0:
        lines = 0

        def trace(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal lines
            if not frame.f_code.co_filename.endswith(OURS):
                return None
            if event == "line":
                lines += 1
                if lines == die_at:
                    os._exit(KILLED)
            return trace

        code = 1
        try:
            sys.settrace(trace)
            call()
            sys.settrace(None)
            counted.write_text(str(lines))
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fill(reached: Reached) -> dict[bytes, Any]:
    reached.client.flushdb()
    pipeline = reached.client.pipeline(transaction=False)
    pipeline.xadd("orders", {"order_id": "before"})
    for number in range(KEYS):
        pipeline.hset(f"risk:{number}", "amount", number)
    pipeline.execute()
    return {f"risk:{number}".encode(): str(number).encode() for number in range(KEYS)}


def test_no_key_is_ever_gone_from_both_places(reached: Reached, tmp_path: Path) -> None:
    keys, counted = fill(reached), tmp_path / "lines"
    assert in_child(lambda: revert_state(reached.release), die_at=None, counted=counted) == 0
    lines = int(counted.read_text())
    assert reached.client.keys() == [b"orders"]
    draw = random.Random(SEED)  # noqa: S311
    for die_at in sorted(draw.sample(range(1, lines), KILLS)):
        fill(reached)
        after = reached.release.ledger.events()[-1].seq
        code = in_child(lambda: revert_state(reached.release), die_at=die_at, counted=counted)
        assert code == KILLED, die_at
        there = {name for name in reached.client.scan_iter() if name != b"orders"}
        recorded = _copied_after(reached, after)
        assert there | recorded == set(keys), f"killed at line {die_at}"
        revert_state(reached.release)
        assert reached.client.keys() == [b"orders"], f"killed at line {die_at}"
        assert _copied_after(reached, after) == set(keys), f"killed at line {die_at}"


def _copied_after(reached: Reached, seq: int) -> set[bytes]:
    names: set[bytes] = set()
    for event in reached.release.ledger.events(reached.release.id, kind=COPIED, after=seq):
        path = reached.release.folder / "aside" / event.data["file"]
        aside.verify(path, event.data["digest"])
        names.update(aside.names(path))
    return names
