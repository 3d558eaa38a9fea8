"""Processes that append at once, and processes that are killed while they append, leave a whole chain."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from roundtrip.ledger.ledger import Ledger

pytestmark = pytest.mark.integration

INCLUDE = Path(__file__).parents[2] / "include"
PROCESSES = 8
APPENDS = 25

APPEND = """
import sys
from roundtrip.ledger.ledger import Ledger
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
ledger = Ledger(url)
for n in range(count):
    ledger.append(name, "step", {"n": n})
    ledger.append_once("all", "once", str(n), {"by": name})
    print(ledger.take_token("env", release=name, holder=name), flush=True)
"""


def start(url: str, name: str, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", APPEND, url, name, str(count)],
        env={**os.environ, "PYTHONPATH": str(INCLUDE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    process.stdin.write("go\n")
    process.stdin.flush()


def test_processes_that_open_and_append_at_once_leave_no_gap_and_no_second(new_url):
    url = new_url()
    processes = [start(url, f"p{n}", APPENDS) for n in range(PROCESSES)]
    for process in processes:
        go(process)
    tokens = [int(line) for process in processes for line in process.communicate(timeout=120)[0].split()]
    assert [process.returncode for process in processes] == [0] * PROCESSES

    ledger = Ledger(url)
    assert ledger.verify() == PROCESSES * APPENDS * 2 + APPENDS
    kinds = Counter(event.kind for event in ledger.events())
    assert kinds == {"step": PROCESSES * APPENDS, "token.taken": PROCESSES * APPENDS, "once": APPENDS}
    assert len(set(tokens)) == PROCESSES * APPENDS
    assert ledger.newest_token("env") == max(tokens)
    for n in range(PROCESSES):
        steps = [event.data["n"] for event in ledger.events(f"p{n}", kind="step")]
        assert steps == list(range(APPENDS))


def test_a_writer_killed_at_any_moment_leaves_whole_events_and_the_next_one_goes_on(new_url):
    """What was reported is there, what was not is there whole or not at all; nobody waits for the dead."""
    url = new_url()
    dice = random.Random(7)  # noqa: S311
    seen: set[int] = set()
    for attempt in range(10):
        process = start(url, f"killed{attempt}", 1_000_000)
        go(process)
        for _ in range(dice.randint(1, 12)):
            seen.add(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        seen |= {int(line) for line in process.stdout.read().splitlines() if line.isdigit()}
        process.stdout.close()
        process.stdin.close()

        ledger = Ledger(url)
        count = ledger.verify()
        assert ledger.append("after", "step", {"attempt": attempt}).seq == count + 1
    tokens = {event.seq for event in ledger.events(kind="token.taken")}
    assert seen <= tokens
    assert len(tokens) <= len(seen) + 10


def test_a_writer_stopped_with_the_lock_in_hand_leaves_nothing_when_killed(new_url):
    """The process is stopped inside its transaction, for certain, and killed there."""
    url = new_url()
    Ledger(url).append("before", "step", {})
    code = (
        "import sys\n"
        "from roundtrip.ledger import ledger as module\n"
        "def clock():\n"
        "    print('inside', flush=True)\n"
        "    sys.stdin.readline()\n"
        "module.Ledger(sys.argv[1], clock=clock).append('dead', 'step', {})\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, url],
        env={**os.environ, "PYTHONPATH": str(INCLUDE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "inside\n"
    process.kill()
    process.communicate(timeout=10)

    ledger = Ledger(url)
    assert ledger.append("after", "step", {}).seq == 2
    assert ledger.verify() == 2
    assert ledger.events("dead") == []
