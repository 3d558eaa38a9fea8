"""The certificates that this process trusts, read once.

httpx reads them for every client that it makes: 30 ms of a core each time, also for plain HTTP on loopback, and in a
trigger 30 ms in which no other gate is heard.
"""

from __future__ import annotations

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """What httpx trusts by itself; a client takes it as `verify`."""
    return httpx.create_ssl_context(trust_env=False)
