"""The seam between a release and the place it runs in.

Rules:
1. `observe` tells what is, from the target's own state, never from what was asked for.
2. `converge` brings the target to `desired`. Killed at any line and called again it ends in the same place.
3. Every `converge` carries a fencing token (`Ledger.take_token`). A target obeys the newest token it has seen and
   raises StaleTokenError for an older one, also in the middle of a converge that a newer one has overtaken.
4. A bundle is verified against its digest every time it is unpacked; one that does not fit is never started.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from roundtrip.plan.deployment import Deployment

SecretsSource = Callable[[str], Mapping[str, str]]
"""Airflow connection id -> its secret values by name. Raises SecretError."""

Progress = Callable[[str], None]
"""Told one sentence for each step, for the task's log."""


@dataclass(frozen=True)
class Addresses:
    """Where an environment can be reached. Its Redis is not here: that address is a secret."""

    front_door: str
    """base URL that clients use"""
    internal: str
    """base URL below which each service is reached as /<service>"""
    proxy_metrics: str
    """URL of the proxy's own Prometheus text"""
    scrape_file: Path
    """Prometheus file_sd JSON with every instance, labelled service, version, instance"""


class Target(Protocol):
    """A place where services run."""

    def observe(self) -> Deployment:
        """What runs now: healthy replicas, digests, weights as the proxy serves them, flags as the services read them."""

    def converge(self, desired: Deployment, token: int, progress: Progress = ...) -> Deployment:
        """Bring the target to `desired` and return what was observed, equal to it.

        Raises StaleTokenError, ArtefactError, TargetError.
        """

    def routes(self) -> Mapping[str, str]:
        """Which service answers what at the front door, as the proxy serves it: the proxy's rule -> service."""

    def addresses(self) -> Addresses:
        """Where the environment can be reached now. Raises TargetError when it is not up."""

    def redis_url(self) -> str:
        """Address and password of the platform's Redis; never logged, never recorded."""

    def configurations(self, version: str) -> Mapping[str, str]:
        """Digest of the configuration that each service of `version` gets here, by service."""

    def variables(self, version: str) -> Mapping[str, Mapping[str, str]]:
        """That configuration itself, by service: secrets are in it; never logged, never recorded."""
