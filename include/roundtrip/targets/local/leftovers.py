"""Processes that outlived their supervisord: killed, it leaves its children running and holding their ports.

Only processes that this environment's supervisord started are touched; it names its socket in their environment.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil

from roundtrip.errors import HostError

VARIABLE = "SUPERVISOR_SERVER_URL"
GENTLE_SECONDS = 5
KILLED_SECONDS = 5


def end_leftovers(socket: Path) -> int:
    """End what was started by the supervisord of `socket`, which does not run any more; how many there were."""
    left = [process for process in psutil.process_iter() if _server(process) == f"unix://{socket}"]
    for process in left:
        _tell(process.terminate)
    _, stubborn = psutil.wait_procs(left, timeout=GENTLE_SECONDS)
    for process in stubborn:
        _tell(process.kill)
    _, alive = psutil.wait_procs(stubborn, timeout=KILLED_SECONDS)
    if ours := [process.pid for process in alive if _server(process) is not None]:
        raise HostError(
            f"processes {ours} are still there {KILLED_SECONDS} s after SIGKILL",
            where=str(socket),
            remedy="look at what they wait for",
        )
    return len(left)


def _server(process: psutil.Process) -> str | None:
    """The supervisord that started it; None for a process that has ended, a zombie, or somebody else's."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process.environ().get(VARIABLE)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _tell(signal: Callable[[], None]) -> None:
    try:
        signal()
    except psutil.NoSuchProcess:
        return
