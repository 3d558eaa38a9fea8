"""Whether a server of an environment is there, asked once; who waits asks again."""

from __future__ import annotations

import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from roundtrip.tls import trusted

ONCE = Retry(NoBackoff(), 0)


def answers(url: str) -> bool:
    """Whether a server speaks HTTP there, whatever it says."""
    try:
        httpx.get(url, timeout=1, trust_env=False, verify=trusted())
    except httpx.HTTPError:
        return False
    return True


def redis_answers(port: int, password: str | None) -> bool:
    """Whether Redis lets us in; without a password, whether it is there to ask for one."""
    try:
        with redis.Redis(port=port, password=password, socket_timeout=1, retry=ONCE) as client:
            return bool(client.execute_command("PING"))
    except redis.AuthenticationError:
        return password is None
    except redis.RedisError:
        return False
