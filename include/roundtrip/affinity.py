"""Session affinity: the one cookie by which a client stays with the release that answered it first.

Traefik gives the cookie the first 16 digits of the sha256 of the name of the service that it chose
(https://doc.traefik.io/traefik/routing/services/#sticky-sessions; the digits as 3.7 sets them).
"""

from __future__ import annotations

import hashlib

COOKIE = "rt-release"
DIGITS = 16


def proxy_name(service: str, version: str) -> str:
    """What one version of a service is called in the proxy: dots would end a name there."""
    return f"{service}-{version.replace('.', '-')}"


def cookie_value(service: str, version: str) -> str:
    """What the cookie holds for a client whose first request went to this version of `service`."""
    return hashlib.sha256(proxy_name(service, version).encode()).hexdigest()[:DIGITS]
