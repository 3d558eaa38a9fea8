"""Plan 4.3: removes the keys that a copy holds, and no other.

Rules:
1. What is removed is read from the copy: there is no key that was removed and not copied.
2. Redis is never blocked for long: UNLINK of UNLINK_KEYS names at a time, the memory of large ones is freed beside its
   event loop, and other clients are served between two of them, though the next are on their way already.
3. It stops when somebody newer holds the environment (`guarding`).
"""

from __future__ import annotations

import logging
from pathlib import Path

import redis

from roundtrip.rollback.copying import PROGRESS_KEYS
from roundtrip.rollback.guarding import GUARD_SECONDS, Guard, batches, guarded
from roundtrip.rollback.in_flight import in_flight
from roundtrip.rollout import aside

log = logging.getLogger(__name__)

UNLINK_KEYS = 500


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
        for batch in guarded(batches(aside.names(copy), UNLINK_KEYS), guard, guard_seconds):
            if talk.is_full:
                removed += talk.answer()
            talk.ask("UNLINK", *batch)
            if removed - told >= PROGRESS_KEYS:
                told = removed
                log.info("%d keys are removed", removed)
        while talk.unanswered:
            removed += talk.answer()
    return removed
