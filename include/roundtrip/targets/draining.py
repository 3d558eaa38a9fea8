"""Draining: nothing is stopped while the proxy still has a request there.

Rules:
1. The proxy closes connections that it does not use any more after a second, so those that are left are in use.
2. Quiet means no connection for a moment, not at one look: a request may be routed but not yet sent.
3. The wait is bounded; who still has a request then ends it within its own time to drain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import psutil

LIMIT_SECONDS = 15.0
QUIET_SECONDS = 0.3
POLL_SECONDS = 0.05


def wait_until_quiet(connections: Callable[[], int], still: Callable[[], None]) -> bool:
    """Wait until there has been no connection for a moment; False when the limit was reached first.

    `connections` tells how many of the proxy's there are; `still` is called at each look and may raise to end the wait.
    """
    deadline = time.monotonic() + LIMIT_SECONDS
    quiet_since: float | None = None
    while (now := time.monotonic()) < deadline:
        still()
        if connections():
            quiet_since = None
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= QUIET_SECONDS:
            return True
        time.sleep(POLL_SECONDS)
    return False


def connections(pid: int, ports: Collection[int]) -> int:
    """How many connections the process has to these loopback ports; 0 for one that is gone."""
    try:
        found = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.NoSuchProcess:
        return 0
    live = (psutil.CONN_ESTABLISHED, psutil.CONN_SYN_SENT)
    return sum(1 for c in found if c.raddr and c.raddr.port in ports and c.status in live)
