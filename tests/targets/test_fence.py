"""The fence: newest token wins, also between processes and after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.errors import StaleTokenError, TargetError
from roundtrip.targets.fence import Fence

WORKERS, TOKENS_EACH = 6, 40


def test_the_newest_token_is_kept_and_older_ones_are_refused(tmp_path: Path) -> None:
    fence = Fence(tmp_path)
    assert fence.newest() == 0
    with fence.hold(5):
        assert (tmp_path / "token").read_text() == "5"
    with pytest.raises(StaleTokenError, match="token 4 is older than 5"), fence.hold(4):
        pytest.fail("an older token acted")
    with fence.hold(5):
        pass
    assert Fence(tmp_path).newest() == 5


def test_who_waits_learns_that_it_was_overtaken_without_the_lock(tmp_path: Path) -> None:
    fence = Fence(tmp_path)
    with fence.hold(1):
        pass
    fence.obey(1)
    with Fence(tmp_path).hold(2), pytest.raises(StaleTokenError, match="token 1 is older than 2"):
        fence.obey(1)


def test_an_act_that_raises_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="mine"), Fence(tmp_path).hold(1):
        raise RuntimeError("mine")
    with Fence(tmp_path).hold(2):
        pass


@pytest.mark.parametrize("content", ["", "abc", "-1", "1.5", "12\n"])
def test_a_token_file_that_holds_no_token_lets_nobody_act(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content)
    with pytest.raises(TargetError, match="expected a token"), Fence(tmp_path).hold(99):
        pytest.fail("acted without knowing the newest token")


def test_of_many_processes_none_acts_after_a_newer_one(tmp_path: Path) -> None:
    """Each act appends its token to one file; under the fence the file can only grow."""
    workers = [
        subprocess.Popen([sys.executable, "-c", _WORKER, str(tmp_path), str(number)], env=_environment())
        for number in range(WORKERS)
    ]
    assert [worker.wait(60) for worker in workers] == [0] * WORKERS
    acted = [int(line) for line in (tmp_path / "acted").read_text().split()]
    assert acted == sorted(acted)
    assert acted[-1] == WORKERS * TOKENS_EACH == Fence(tmp_path).newest()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path)], env=_environment(), stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holding\n"
        holder.kill()
    with Fence(tmp_path).hold(8):
        assert Fence(tmp_path).newest() == 8


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


_WORKER = f"""
import sys
from pathlib import Path
from roundtrip.errors import StaleTokenError
from roundtrip.targets.fence import Fence
folder, number = Path(sys.argv[1]), int(sys.argv[2])
for token in range(number + 1, {WORKERS} * {TOKENS_EACH} + 1, {WORKERS}):
    try:
        with Fence(folder).hold(token), (folder / "acted").open("a") as file:
            file.write(f"{{token}}\\n")
    except StaleTokenError:
        pass
"""

_HOLDER = """
import sys
from pathlib import Path
from roundtrip.targets.fence import Fence
with Fence(Path(sys.argv[1])).hold(7):
    print("holding", flush=True)
    sys.stdin.read()
"""
