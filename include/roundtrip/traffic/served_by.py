"""Which version answered a request, as far as a client can know.

Rules:
1. A response header `X-Version` is believed first.
2. Otherwise the proxy's cookie names the version, whichever service gave it: the one that the response sets, or the one
   that was sent with the request and was not replaced.
3. What is in neither is 'unknown'; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from roundtrip.affinity import COOKIE, cookie_value
from roundtrip.traffic.mix import SERVICES
from roundtrip.traffic.series import UNKNOWN_VERSION

VERSION_HEADER = "x-version"


class ServedBy:
    """Tells the version of a response; of `versions`, the ones that may be deployed."""

    def __init__(self, versions: Iterable[str]) -> None:
        services = set(SERVICES.values())
        self._versions = {cookie_value(s, version): version for version in versions for s in services}

    def __call__(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """`headers` of the response, found whatever their case; `cookies` that were sent or given, by name."""
        return headers.get(VERSION_HEADER) or self._versions.get(cookies.get(COOKIE, ""), UNKNOWN_VERSION)
