"""The local target: processes under supervisord."""

from __future__ import annotations

import logging
import sys

from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.converging import Parts
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.local.infrastructure import LocalInfrastructure
from roundtrip.targets.local.instances import Instance
from roundtrip.targets.local.starting import StartedInstances
from roundtrip.targets.protocol import SecretsSource
from roundtrip.targets.target import HEALTHY_LIMIT_SECONDS, LoopbackTarget
from roundtrip.toolchain.programs import node

log = logging.getLogger(__name__)


class LocalTarget(LoopbackTarget[Instance]):
    """One environment of processes."""

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
        folder = home.environment(environment.name)
        infrastructure = LocalInfrastructure(folder, environment, secrets)
        configurations = Configurations(folder / "configurations", plan, environment, secrets)
        self._instances = StartedInstances(
            folder,
            infrastructure.daemon,
            BundleStore(home.store),
            configurations,
            self._interpreters,
        )
        parts = Parts(
            plan=plan,
            infrastructure=infrastructure,
            fence=Fence(folder),
            instances=self._instances,
            flags=Flags(folder / "flags.json"),
            healthy_limit_seconds=healthy_limit_seconds,
        )
        super().__init__(parts, configurations)

    def _interpreters(self, toolchain: str) -> dict[str, str]:
        interpreters = {"{python}": sys.executable}
        if toolchain == "node":
            found = node(self._home.cache, self._plan.checklist.node_major, log.info)
            interpreters["{node}"] = str(found.program)
        return interpreters
