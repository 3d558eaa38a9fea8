"""Long work on an environment's Redis, in bounded pieces, by one holder at a time.

Whoever works asks every GUARD_SECONDS whether the environment is still theirs. A process that was stopped and goes on
later finds that it is not, and does at most what was on its way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from roundtrip.errors import StaleTokenError
from roundtrip.release import Release

GUARD_SECONDS = 0.1

Item = TypeVar("Item")
Guard = Callable[[], None]
"""Raises StaleTokenError when somebody newer holds the environment."""


def holds(release: Release, environment: str, token: int) -> Guard:
    """A guard for the holder of `token`."""

    def guard() -> None:
        newest = release.ledger.newest_token(environment)
        if newest != token:
            raise StaleTokenError(
                f"token {token} is older than {newest}",
                where=environment,
                remedy="somebody newer holds this environment; this one has stopped",
            )

    return guard


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`items` in order, `size` at a time."""
    left = iter(items)
    return iter(lambda: list(islice(left, size)), [])


def guarded(work: Iterable[Item], guard: Guard, every_seconds: float = GUARD_SECONDS) -> Iterator[Item]:
    """`work`, with the guard asked before the first piece and then every so often. Raises StaleTokenError."""
    asked = float("-inf")
    for piece in work:
        if time.monotonic() - asked >= every_seconds:
            guard()
            asked = time.monotonic()
        yield piece
