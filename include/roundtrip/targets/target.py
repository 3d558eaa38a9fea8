"""The two verbs of every kind of target on loopback, and where it can be reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic

from roundtrip.plan.deployment import Deployment
from roundtrip.targets import routing
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.converging import Converge, Parts, observe
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from roundtrip.targets.instances import InstanceT
from roundtrip.targets.protocol import Addresses, Progress

HEALTHY_LIMIT_SECONDS = 60.0


class LoopbackTarget(Generic[InstanceT]):
    """One environment on this machine."""

    def __init__(self, parts: Parts[InstanceT], configurations: Configurations) -> None:
        self._parts = parts
        self._configurations = configurations

    def observe(self) -> Deployment:
        """What runs, from the instances, Traefik's API and the flags file. Raises TargetError, HostError."""
        return observe(self._parts)

    def converge(self, desired: Deployment, token: int, progress: Progress = lambda _: None) -> Deployment:
        """Bring it to `desired`. Needs no secret. Raises StaleTokenError, ArtefactError, TargetError, HostError."""
        return Converge(self._parts, desired, token, progress).run()

    @property
    def infrastructure(self) -> LoopbackInfrastructure:
        return self._parts.infrastructure

    def instances(self) -> int:
        """How many have been placed, whatever became of them since. Raises HostError."""
        return len(self._parts.instances.all())

    def variables(self, version: str) -> dict[str, dict[str, str]]:
        """Of each service, its values kept. Raises SecretError, TargetError."""
        places = self._parts.infrastructure.places()
        digests = self._configurations.digests(version, places)
        return {
            service: self._configurations.variables(digest, places) for service, digest in digests.items()
        }

    def routes(self) -> Mapping[str, str]:
        """From Traefik's API. Raises TargetError."""
        return routing.front_routes(self._parts.infrastructure.api())

    def addresses(self) -> Addresses:
        return self._parts.infrastructure.addresses()

    def redis_url(self) -> str:
        return self._parts.infrastructure.redis_url()

    def configurations(self, version: str) -> Mapping[str, str]:
        """Digest of each service's configuration in `version`, its values kept. Raises SecretError, TargetError."""
        return self._configurations.digests(version, self._parts.infrastructure.places())
