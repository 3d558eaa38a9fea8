"""The compose target: containers of a Docker Engine."""

from __future__ import annotations

from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.compose.containers import ContainerInstance, Containers
from roundtrip.targets.compose.infrastructure import ComposeInfrastructure
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.converging import Parts
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.protocol import SecretsSource
from roundtrip.targets.target import HEALTHY_LIMIT_SECONDS, LoopbackTarget

FLAGS_MODE = 0o644
"""Services in containers are other users than we."""


class ComposeTarget(LoopbackTarget[ContainerInstance]):
    """One environment of containers."""

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
        infrastructure = ComposeInfrastructure(folder, environment, settings, secrets)
        configurations = Configurations(folder / "configurations", plan, environment, secrets)
        self._instances = Containers(infrastructure, settings.registry, configurations)
        parts = Parts(
            plan=plan,
            infrastructure=infrastructure,
            fence=Fence(folder),
            instances=self._instances,
            flags=Flags(infrastructure.flags_file, mode=FLAGS_MODE),
            healthy_limit_seconds=healthy_limit_seconds,
        )
        super().__init__(parts, configurations)
