"""What a process can be sent."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from tests.chaos.damage import Undo


def nothing() -> None:
    """What is done at once has no end."""


def kill(pids: Iterable[int]) -> Undo:
    for pid in pids:
        _send(pid, signal.SIGKILL)
    return nothing


def stop(pids: Iterable[int]) -> Undo:
    """They stand still until that is ended."""
    stopped = list(pids)
    for pid in stopped:
        _send(pid, signal.SIGSTOP)

    def go_on() -> None:
        for pid in stopped:
            _send(pid, signal.SIGCONT)

    return go_on


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself; the next run has another seed
