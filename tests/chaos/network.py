"""What the way to a port can do: refuse, be silent, or lose a part of what is sent. By the kernel's own filter.

It needs nftables and the right to change it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

TABLE = "inet roundtrip_chaos"
LOST_PERCENT = 30
VERDICTS = {
    "refused": "reject with tcp reset",
    "half-open": "drop",
    "slow": f"numgen random mod 100 < {LOST_PERCENT} drop",
}
"""What becomes of a packet to the port. Half-open: a client waits for what it will not be told. Slow: TCP sends anew what
is lost, after 200 ms and more each time."""


@dataclass(frozen=True)
class Way:
    """To a port of this machine's loopback, or of the network that a process has for itself."""

    port: int
    within: int | None = None
    """that process; None: this machine"""


def way_of(address: str) -> Way:
    """To the port that a URL of loopback names."""
    port = urlsplit(address).port
    if port is None:
        raise RuntimeError(f"no port in {address}")
    return Way(port)


def bent(way: Way, how: str) -> Callable[[], None] | None:
    """From now on; what ends it. None where the filter cannot be changed."""
    if not mend():
        return None
    interface = "" if way.within else "iif lo"
    _filter(
        way.within,
        f"add table {TABLE}",
        f"add chain {TABLE} input {{ type filter hook input priority 0; policy accept; }}",
        f"add rule {TABLE} input {interface} tcp dport {way.port} {VERDICTS[how]}",
    )

    def end() -> None:
        if way.within is None or psutil.pid_exists(way.within):  # with the process its network has ended
            _filter(way.within, f"delete table {TABLE}")

    return end


def mend() -> bool:
    """End what a campaign that was killed has left; whether the filter can be changed at all.

    In a network of a process's own nothing is left: it ended with the process.
    """
    if shutil.which("nft") is None:
        return False
    try:
        _filter(None, f"add table {TABLE}", f"delete table {TABLE}")
    except subprocess.CalledProcessError:
        return False
    return True


def _filter(within: int | None, *commands: str) -> None:
    """All of them, or none."""
    enter = [] if within is None else ["nsenter", f"--net=/proc/{within}/ns/net"]
    told = "\n".join(commands)
    subprocess.run([*enter, "nft", "-f", "-"], input=told, text=True, check=True, capture_output=True)
