"""Plan 4.3: removes the keys that a copy holds, and no other.

Rules:
1. What is removed is read from the copy: there is no key that was removed and not copied.
2. Redis is never blocked for long: UNLINK of UNLINK_KEYS names at a time, the memory of large ones is freed beside its
   event loop, and other clients are served between two of them, though the next are on their way already.
3. Whoever removes asks every GUARD_SECONDS whether the environment is still theirs. A process that was stopped and goes
   on later finds that it is not, and removes at most what was on its way.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import redis

from roundtrip.rollback.copying import PROGRESS_KEYS
from roundtrip.rollback.in_flight import in_flight
from roundtrip.rollout import aside

log = logging.getLogger(__name__)

UNLINK_KEYS = 500
GUARD_SECONDS = 0.1

Guard = Callable[[], None]
"""Raises StaleTokenError when somebody newer holds the environment."""


def remove(
    client: redis.Redis,
    copy: Path,
    guard: Guard = lambda: None,
    *,
    guard_seconds: float = GUARD_SECONDS,
) -> int:
    """Remove every key that `copy` holds; how many of them were there. Raises StaleTokenError, redis.RedisError."""
    removed = told = 0
    with in_flight(client) as talk:
        for batch in _guarded(_batches(aside.names(copy)), guard, guard_seconds):
            if talk.is_full:
                removed += talk.answer()
            talk.ask("UNLINK", *batch)
            if removed - told >= PROGRESS_KEYS:
                told = removed
                log.info("%d keys are removed", removed)
        while talk.unanswered:
            removed += talk.answer()
    return removed


def _batches(names: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(names)
    return iter(lambda: list(islice(left, UNLINK_KEYS)), [])


def _guarded(batches: Iterable[list[bytes]], guard: Guard, every_seconds: float) -> Iterator[list[bytes]]:
    asked = float("-inf")
    for batch in batches:
        if time.monotonic() - asked >= every_seconds:
            guard()
            asked = time.monotonic()
        yield batch
