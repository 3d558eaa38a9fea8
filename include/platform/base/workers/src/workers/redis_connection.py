"""Connections to Redis.

Rules:
1. Nothing is tried again down here: when a connection breaks, only the caller knows what may be repeated.
2. Every wait has a limit, so that a worker can drain while Redis hangs.
"""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_CONNECT_LIMIT_SECONDS = 1.5
_ANSWER_LIMIT_SECONDS = 1.5


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",  # an event may hold anything
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=_CONNECT_LIMIT_SECONDS,
        socket_timeout=_ANSWER_LIMIT_SECONDS,
        socket_keepalive=True,
    )
