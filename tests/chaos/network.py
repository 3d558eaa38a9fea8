"""What the way to a port of this machine can do: refuse, be silent, or lose a part of what is sent. By the kernel's own filter.

It needs nftables and the right to change it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

TABLE = "inet roundtrip_chaos"
LOST_PERCENT = 30
VERDICTS = {
    "refused": "reject with tcp reset",
    "half-open": "drop",
    "slow": f"numgen random mod 100 < {LOST_PERCENT} drop",
}
"""What becomes of a packet to the port. Half-open: a client waits for what it will not be told. Slow: TCP sends anew what
is lost, after 200 ms and more each time."""


def bent(port: int, how: str) -> Callable[[], None] | None:
    """From now on; what ends it. None where the filter cannot be changed."""
    if not mend():
        return None
    _filter(
        f"add table {TABLE}",
        f"add chain {TABLE} input {{ type filter hook input priority 0; policy accept; }}",
        f"add rule {TABLE} input iif lo tcp dport {port} {VERDICTS[how]}",
    )
    return lambda: _filter(f"delete table {TABLE}")


def mend() -> bool:
    """End what a campaign that was killed has left; whether the filter can be changed at all."""
    if shutil.which("nft") is None:
        return False
    try:
        _filter(f"add table {TABLE}", f"delete table {TABLE}")
    except subprocess.CalledProcessError:
        return False
    return True


def _filter(*commands: str) -> None:
    """All of them, or none."""
    subprocess.run(["nft", "-f", "-"], input="\n".join(commands), text=True, check=True, capture_output=True)
