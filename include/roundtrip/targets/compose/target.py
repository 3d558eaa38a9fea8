"""The compose target's two verbs, and where it can be reached."""

from __future__ import annotations

from collections.abc import Mapping

from roundtrip.plan.deployment import Deployment
from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.compose.containers import Containers
from roundtrip.targets.compose.infrastructure import ComposeInfrastructure
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.converging import Converge, Parts
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.observing import observed
from roundtrip.targets.protocol import Addresses, Progress, SecretsSource

HEALTHY_LIMIT_SECONDS = 60.0
FLAGS_MODE = 0o644
"""Services in containers are other users than we."""


class ComposeTarget:
    """One environment of a Docker Engine."""

    def __init__(
        self,
        environment: Environment,
        plan: Plan,
        home: Home,
        secrets: SecretsSource,
        *,
        healthy_limit_seconds: float = HEALTHY_LIMIT_SECONDS,
    ) -> None:
        settings = environment.target
        if not isinstance(settings, ComposeTargetSettings):
            raise RuntimeError(f"{environment.name} is of kind {settings.kind}")
        folder = home.environment(environment.name)
        self.infrastructure = ComposeInfrastructure(folder, environment, settings, secrets)
        self._configurations = Configurations(folder / "configurations", plan, environment, secrets)
        self._containers = Containers(self.infrastructure, settings.registry, self._configurations)
        self._flags = Flags(self.infrastructure.flags_file, mode=FLAGS_MODE)
        self._parts = Parts(
            name=environment.name,
            folder=folder,
            plan=plan,
            ground=self.infrastructure,
            fence=Fence(folder),
            instances=self._containers,
            flags=self._flags,
            observe=self.observe,
            healthy_limit_seconds=healthy_limit_seconds,
        )

    def observe(self) -> Deployment:
        """What runs, from the engine, Traefik's API and the flags file. Raises TargetError, HostError."""
        return observed(self._containers, self.infrastructure.api(), self._flags)

    def converge(self, desired: Deployment, token: int, progress: Progress = lambda _: None) -> Deployment:
        """Bring it to `desired`. Needs no secret. Raises StaleTokenError, ArtefactError, TargetError, HostError."""
        return Converge(self._parts, desired, token, progress).run()

    def addresses(self) -> Addresses:
        return self.infrastructure.addresses()

    def redis_url(self) -> str:
        return self.infrastructure.redis_url()

    def configurations(self, version: str) -> Mapping[str, str]:
        """Digest of each service's configuration in `version`, its values kept. Raises SecretError, TargetError."""
        return self._configurations.digests(version, self.infrastructure.places())
