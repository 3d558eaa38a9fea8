"""One environment of a target, its plan and the bundles that can be placed there: what the contract is told against."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore, Manifest, pack
from roundtrip.targets.local.target import LocalTarget
from roundtrip.targets.protocol import Target

HERE = Path(__file__).parent
SECRETS = {"REDIS_PASSWORD": "redispassword", "GREETING": "hello-from-a-secret"}
ENVIRONMENT = "fixture_staging"


class TargetOf(Protocol):
    """How a kind of target is opened for these tests."""

    def __call__(
        self, environment: Environment, plan: Plan, home: Home, secrets: Mapping[str, str]
    ) -> Target: ...


@dataclass
class Place:
    """One environment, which at first runs 1.0.0."""

    home: Home
    packing: Path
    open: TargetOf
    plan: Plan = field(default_factory=lambda: load_plan(HERE / "plan.yaml"))
    token: int = 0

    def __post_init__(self) -> None:
        self.environment = environment()
        self.bundles = {
            (service, version): self.pack(service, version)
            for service in ("api", "workers")
            for version in ("1.0.0", "1.1.0")
        }

    def pack(self, service: str, version: str, fault: str = "") -> str:
        """A bundle of the fixture service, in the store. `sick` never answers 200, `abrupt` ends without draining."""
        source = self.packing / f"{service}-{version}-{fault}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        shutil.copy(HERE / "fixture_service.py", source / "main.py")
        if fault:
            (source / fault).touch()
        manifest = Manifest(service, version, ("{python}", "main.py"), "python", environment=("GREETING",))
        file = self.packing / f"{source.name}.tar.gz"
        pack(source, manifest, file)
        return self.store.put(file)

    @property
    def store(self) -> BundleStore:
        return BundleStore(self.home.store)

    @property
    def folder(self) -> Path:
        return self.home.environment(ENVIRONMENT)

    def target(self, **changed_secrets: str) -> Target:
        return self.open(self.environment, self.plan, self.home, {**SECRETS, **changed_secrets})

    def next_token(self) -> int:
        self.token += 1
        return self.token

    def placement(self, service: str, version: str, replicas: int = 1, weight: int = 100) -> Placement:
        configuration = self.target().configurations(version)[service]
        return Placement(service, version, replicas, self.bundles[service, version], configuration, weight)

    def whole(self, version: str) -> Deployment:
        workers = 1 if version == self.plan.from_version else 3
        return Deployment(
            (self.placement("api", version), self.placement("workers", version, replicas=workers))
        )

    def converge(self, desired: Deployment) -> Deployment:
        return self.target().converge(desired, self.next_token())


def environment() -> Environment:
    return Environment(
        name=ENVIRONMENT,
        stage="staging",
        target=LocalTargetSettings(kind="local"),
        configuration={"DOOR": "{front_door}/for/{redis_password}"},
        secrets_connection="fixture",
        signing_connection="fixture",
    )


def local(environment: Environment, plan: Plan, home: Home, secrets: Mapping[str, str]) -> LocalTarget:
    return LocalTarget(environment, plan, home, lambda _: secrets, healthy_limit_seconds=5)


@contextmanager
def standing_place(folder: Path, **changes: object) -> Iterator[Place]:
    """A place of the local target that is up; `changes` to its fields."""
    made = replace(Place(Home(folder / "home"), folder / "packing", local), **changes)
    target = made.target()
    assert isinstance(target, LocalTarget)
    target.infrastructure.up()
    try:
        yield made
    finally:
        target.infrastructure.down()
