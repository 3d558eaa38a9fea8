"""Ends an instance that runs on this machine, as a crash would.

Only the process that listens at the given loopback address is touched, or the container that is published there, and only by
SIGKILL.
"""

from __future__ import annotations

from contextlib import closing

import psutil

from roundtrip.errors import SmokeError
from roundtrip.targets.compose.engine import asking, connect
from roundtrip.targets.compose.overlay import PORT

GONE_LIMIT_SECONDS = 10.0


def kill_listener(address: str) -> None:
    """SIGKILL the process that listens at `address` (127.0.0.1:port). Returns once it is gone; raises
    SmokeError."""
    host, _, port = address.rpartition(":")
    process = _listener(host, int(port))
    if process is None:
        raise SmokeError(
            f"nobody listens at {address}", where=address, remedy="look whether the instance is up"
        )
    process.kill()
    try:
        process.wait(timeout=GONE_LIMIT_SECONDS)
    except psutil.TimeoutExpired as error:
        raise SmokeError(
            f"process {process.pid} is still there {GONE_LIMIT_SECONDS:g} s after SIGKILL",
            where=address,
            remedy="look at the machine: it waits for a disk",
        ) from error


def kill_container(engine: str, address: str) -> None:
    """SIGKILL the container whose instance is at `address` (127.0.0.1:port), and start it again once it is gone: an engine
    does that by itself after a crash, but not for what one of its clients has killed. Raises SmokeError, HostError."""
    port = address.rpartition(":")[2]
    with closing(connect(engine)) as client, asking(address):
        found = client.containers.list(filters={"label": f"{PORT}={port}", "status": "running"})
        if len(found) != 1:
            raise SmokeError(
                f"expected one container at {address}, got {len(found)}",
                where=address,
                remedy="look whether the instance is up",
            )
        [container] = found
        container.kill()
        container.wait(timeout=GONE_LIMIT_SECONDS)
        container.start()


def _listener(host: str, port: int) -> psutil.Process | None:
    for connection in psutil.net_connections(kind="tcp"):
        is_there = connection.status == psutil.CONN_LISTEN and connection.laddr == (host, port)
        if is_there and connection.pid is not None:
            return psutil.Process(connection.pid)
    return None
