"""The local target's two verbs, and where it can be reached. `converge` is in a module of its own.

`observe` never says more than is there, and always says something: a release that was killed half way is taken back
from what is observed. A version with no healthy process is not placed, so the weights of its service may add up to
less than 100. Two builds of one version at once are told as the one that has the traffic.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets import routing
from roundtrip.targets.bundles import BundleStore
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.converging import Converge, Parts
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.local.infrastructure import LocalInfrastructure
from roundtrip.targets.local.instances import Instance
from roundtrip.targets.local.starting import StartedInstances
from roundtrip.targets.protocol import Addresses, Progress, SecretsSource
from roundtrip.targets.routing import Backend
from roundtrip.toolchain.programs import node

log = logging.getLogger(__name__)

HEALTHY_LIMIT_SECONDS = 60.0
PATIENCE_SECONDS = 3.0
"""An instance that does not answer is asked again for so long before it counts as gone: one that is being started
again after a crash, or is late under load, must not be taken for one that was never there."""
POLL_SECONDS = 0.1


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
        return deployment_of(self._healthy(), routing.read(self.infrastructure.api()), self._flags.read())

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

    def _healthy(self) -> list[Instance]:
        """Those that are healthy, asked until all are or patience ends."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            present = self._instances.all()
            healthy = self._instances.healthy(present)
            if healthy == present or time.monotonic() > deadline:
                return healthy
            time.sleep(POLL_SECONDS)

    def _interpreters(self, toolchain: str) -> dict[str, str]:
        interpreters = {"{python}": sys.executable}
        if toolchain == "node":
            found = node(self._home.cache, self._plan.checklist.node_major, log.info)
            interpreters["{node}"] = str(found.program)
        return interpreters


def deployment_of(
    healthy: Sequence[Instance], served: Sequence[Backend], flags: Mapping[str, bool]
) -> Deployment:
    """The deployment that healthy instances, the proxy's routes and the flags make. Pure."""
    weights = {(b.service, b.version): b.weight_percent for b in served}
    urls = {url for b in served for url in b.urls}
    replicas = Counter((i.service, i.version, i.bundle, i.configuration) for i in healthy)
    routed = Counter((i.service, i.version, i.bundle, i.configuration) for i in healthy if i.url in urls)
    # Of two builds of one version the one with the traffic stands for it.
    by_traffic = sorted(replicas, key=lambda build: (routed[build], replicas[build], build))
    placed = {(build[0], build[1]): build for build in by_traffic}
    return Deployment(
        tuple(
            Placement(build[0], build[1], replicas[build], build[2], build[3], weights.get(key, 0))
            for key, build in placed.items()
        ),
        flags,
    )
