"""What is said of something that was built twice: it has to be the same, now and as this release has recorded it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from roundtrip.errors import BuildError
from roundtrip.ledger.ledger import Event

SHOWN = 12
"""of what differs between two builds an error names so many; the rest is counted"""


def differs(what: str, names: Sequence[str], first: Path, second: Path) -> BuildError:
    """The error of two builds; `names` of what differs is empty where that was so in an earlier run only."""
    if not names:
        return BuildError(
            f"{what}: built the same now, but not in an earlier run of this step",
            where=str(second),
            remedy="find out what differed then, and start a new release",
        )
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return BuildError(
        f"{what}: built twice, {len(names)} things differ: {', '.join(names[:SHOWN])}{more}",
        where=f"{first} and {second}",
        remedy="find what of the machine, the time or the folder gets into them; then start a new release",
    )


def require_same(event: Event, digest: object, name: str) -> None:
    """Raises BuildError unless the release has recorded this digest."""
    if event.data["digest"] != digest:
        raise BuildError(
            f"{name}: expected {event.data['digest']} as this release has recorded, got {digest}",
            where=event.release,
            remedy="the source or a tool changed since; start a new release",
        )
