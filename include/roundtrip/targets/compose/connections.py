"""How many connections the proxy has to some containers, read in the proxy's own network: Linux' /proc/net/tcp."""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from roundtrip.errors import TargetError
from roundtrip.targets.compose.engine import asking

if TYPE_CHECKING:
    from docker import DockerClient

TABLE = "/proc/net/tcp"
LIVE = ("01", "02")
"""ESTABLISHED and SYN_SENT, as include/net/tcp_states.h of Linux numbers them"""


def open_connections(client: DockerClient, proxy: str, addresses: Collection[str], port: int) -> int:
    """Connections of the container `proxy` to `port` of these addresses; 0 when it does not run.

    Raises HostError, TargetError.
    """
    ends = remotes(_table(client, proxy))
    return sum(end == port and address in addresses for address, end in ends)


def addresses(client: DockerClient, name: str) -> list[str]:
    """Of a container in its networks, for as long as it runs; none when it is gone. Raises HostError, TargetError."""
    from docker.errors import NotFound

    with asking(name):
        try:
            networks = client.containers.get(name).attrs["NetworkSettings"]["Networks"]
        except NotFound:
            return []
    return [network["IPAddress"] for network in networks.values() if network["IPAddress"]]


def remotes(table: str) -> Iterator[tuple[str, int]]:
    """The far ends of live connections in the text of /proc/net/tcp."""
    for line in table.splitlines()[1:]:
        _, _, remote, state, *_ = line.split()
        if state in LIVE:
            address, _, port = remote.partition(":")
            yield socket.inet_ntoa(struct.pack("<I", int(address, 16))), int(port, 16)


def _table(client: DockerClient, proxy: str) -> str:
    """The proxy's /proc/net/tcp, which its own `cat` reads; empty when it does not run."""
    from docker.errors import NotFound

    with asking(proxy):
        try:
            container = client.containers.get(proxy)
            if container.status != "running":
                return ""
            read = container.exec_run(["cat", TABLE])
        except NotFound:
            return ""
    if read.exit_code or not isinstance(read.output, bytes):
        raise TargetError(
            f"its connections cannot be counted: `cat {TABLE}` ended with {read.exit_code}",
            where=proxy,
            remedy="use an image of Traefik that has cat",
        )
    return read.output.decode()
