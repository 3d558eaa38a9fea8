"""Which version answered a request, as far as a client can know.

Rules:
1. A response header `X-Version` is believed first.
2. Otherwise the proxy's sticky cookie of the service that was asked names the version: the one that the response
   sets, or the one that was sent with the request and was not replaced.
3. What is in neither is 'unknown'; nothing is guessed.

Traefik 3 gives the cookie the first 16 digits of the sha256 of the chosen service's name; the target names it
`<service>-<version, with dashes>` and the cookie `rt-<service>`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from roundtrip.traffic.mix import SERVICES
from roundtrip.traffic.series import UNKNOWN_VERSION

VERSION_HEADER = "x-version"
COOKIE_PREFIX = "rt-"
COOKIE_DIGITS = 16


class ServedBy:
    """Tells the version of a response; of `versions`, the ones that may be deployed."""

    def __init__(self, versions: Iterable[str]) -> None:
        self._versions = {
            (service, cookie_value(service, version)): version
            for version in versions
            for service in set(SERVICES.values())
        }

    def __call__(self, route: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> str:
        """`headers` of the response, found whatever their case; `cookies` that were sent or given, by name."""
        header = headers.get(VERSION_HEADER)
        if header:
            return header
        service = SERVICES[route]
        return self._versions.get((service, cookies.get(COOKIE_PREFIX + service, "")), UNKNOWN_VERSION)


def cookie_value(service: str, version: str) -> str:
    """What the proxy's sticky cookie holds for a client of this version."""
    name = f"{service}-{version.replace('.', '-')}"
    return hashlib.sha256(name.encode()).hexdigest()[:COOKIE_DIGITS]
