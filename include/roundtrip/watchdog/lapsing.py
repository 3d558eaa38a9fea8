"""When a lease has lapsed. Pure.

Rules:
1. It has lapsed when the watchdog has looked at the same mark for `seconds`. A mark that cannot be read is the same mark.
2. Only time in which the watchdog itself looked counts, by its own steady clock: one that stood still, with its machine
   or alone, knows nothing of the time between, and gives the holder that much more.
3. A watchdog that begins anew gives a full term.
"""

from __future__ import annotations

from dataclasses import dataclass

MOST_BETWEEN_LOOKS = 1.0
"""Seconds; of a longer time between two looks no more counts."""


@dataclass(frozen=True)
class Seen:
    """What was seen of one lease."""

    release: str
    mark: str | None
    looked_at: float
    """by a clock that only goes forward, seconds"""
    same_for: float = 0.0
    """seconds for which the mark was looked at and was the same"""

    def has_lapsed(self, seconds: float) -> bool:
        return self.same_for >= seconds


def seen(before: Seen | None, release: str, mark: str | None, now: float) -> Seen:
    """After another look."""
    is_other = before is None or before.release != release
    if before is None or is_other or mark not in (None, before.mark):
        return Seen(release, mark, now)
    looked = min(max(0.0, now - before.looked_at), MOST_BETWEEN_LOOKS)
    return Seen(release, before.mark, now, before.same_for + looked)
