"""Processes that outlived whoever supervised them.

Rules:
1. A process belongs to a folder when its own environment or command line names that folder; nothing else is touched.
2. A supervisor goes first, since it starts again what is ended under it; each process gets SIGTERM, then SIGKILL.
3. The caller and what started it are never among them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from roundtrip.errors import HostError

GENTLE_SECONDS = 10
KILLED_SECONDS = 5
POLL_SECONDS = 0.05


def with_variable(name: str, value: str) -> Callable[[psutil.Process], bool]:
    """Processes that were started with this environment variable."""
    return lambda process: process.environ().get(name) == value


def started_by(socket: Path) -> Callable[[psutil.Process], bool]:
    """Processes that the supervisord of this socket started: it names itself in their environment. Killed, it leaves
    them running and holding their ports."""
    return with_variable("SUPERVISOR_SERVER_URL", f"unix://{socket}")


def with_argument(argument: str) -> Callable[[psutil.Process], bool]:
    """Processes that were started with this argument."""
    return lambda process: argument in process.cmdline()


def end_leftovers(kinds: Iterable[Callable[[psutil.Process], bool]], *, where: str) -> int:
    """End the processes of each kind, one kind after the other; how many there were. Raises HostError."""
    return sum(_end(_found(kind), where=where) for kind in kinds)


def _found(belongs: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    us = psutil.Process()
    spared = {us.pid, *(parent.pid for parent in us.parents())}
    return [
        process for process in psutil.process_iter() if process.pid not in spared and _asked(belongs, process)
    ]


def _asked(belongs: Callable[[psutil.Process], bool], process: psutil.Process) -> bool:
    try:
        return belongs(process)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False  # gone, or somebody else's: neither can be ours


def _end(processes: list[psutil.Process], *, where: str) -> int:
    for process in processes:
        _tell(process.terminate)
    for process in _alive_after(GENTLE_SECONDS, processes):
        _tell(process.kill)
    if alive := _alive_after(KILLED_SECONDS, processes):
        raise HostError(
            f"did not end within {KILLED_SECONDS} s of SIGKILL: {', '.join(str(p.pid) for p in alive)}",
            where=where,
            remedy="look at what they wait for, end them, then try again",
        )
    return len(processes)


def _alive_after(seconds: float, processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run when all have ended or the time is over."""
    deadline = time.monotonic() + seconds
    while alive := [process for process in processes if _runs(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    return alive


def _runs(process: psutil.Process) -> bool:
    # A zombie has ended; who has to collect it may be an init that never does.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _tell(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return
