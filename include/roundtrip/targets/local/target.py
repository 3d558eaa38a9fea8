"""The local target's two verbs, and where it can be reached."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping

from roundtrip.plan.deployment import Deployment
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.converging import Converge, Parts
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.local.infrastructure import LocalInfrastructure
from roundtrip.targets.local.starting import StartedInstances
from roundtrip.targets.observing import observed
from roundtrip.targets.protocol import Addresses, Progress, SecretsSource
from roundtrip.toolchain.programs import node

log = logging.getLogger(__name__)

HEALTHY_LIMIT_SECONDS = 60.0


class LocalTarget:
    """One environment on this machine."""

    def __init__(
        self,
        environment: Environment,
        plan: Plan,
        home: Home,
        secrets: SecretsSource,
        *,
        healthy_limit_seconds: float = HEALTHY_LIMIT_SECONDS,
    ) -> None:
        self._plan = plan
        self._home = home
        self._folder = home.environment(environment.name)
        self.infrastructure = LocalInfrastructure(self._folder, environment, secrets)
        self._configurations = Configurations(self._folder / "configurations", plan, environment, secrets)
        self._instances = StartedInstances(
            self._folder,
            self.infrastructure.daemon,
            BundleStore(home.store),
            self._configurations,
            self._interpreters,
        )
        self._flags = Flags(self._folder / "flags.json")
        self._parts = Parts(
            name=environment.name,
            folder=self._folder,
            plan=plan,
            ground=self.infrastructure,
            fence=Fence(self._folder),
            instances=self._instances,
            flags=self._flags,
            observe=self.observe,
            healthy_limit_seconds=healthy_limit_seconds,
        )

    def observe(self) -> Deployment:
        """What runs, from supervisord, health answers, Traefik's API and the flags file. Raises TargetError, HostError."""
        return observed(self._instances, self.infrastructure.api(), self._flags)

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

    def _interpreters(self, toolchain: str) -> dict[str, str]:
        interpreters = {"{python}": sys.executable}
        if toolchain == "node":
            found = node(self._home.cache, self._plan.checklist.node_major, log.info)
            interpreters["{node}"] = str(found.program)
        return interpreters
