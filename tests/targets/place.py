"""One environment of a target, its plan and the bundles that can be placed there: what the contract is told against."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import ComposeTargetSettings, Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore, Manifest, pack
from roundtrip.targets.local.target import LocalTarget
from roundtrip.targets.protocol import Target

HERE = Path(__file__).parent
SECRETS = {"REDIS_PASSWORD": "redispassword", "GREETING": "hello-from-a-secret"}
ENVIRONMENT = "fixture_staging"
HEALTHY_LIMIT_SECONDS = 5
LOCAL = LocalTargetSettings(kind="local")


class TargetOf(Protocol):
    """How a kind of target is opened for these tests."""

    def __call__(
        self, environment: Environment, plan: Plan, home: Home, secrets: Mapping[str, str]
    ) -> Target: ...


class Packing(Protocol):
    """How the fixture service becomes what a kind of target deploys."""

    refused: str
    """pattern of what is said of one with a flipped byte"""

    def pack(self, service: str, version: str, fault: str = "") -> str:
        """Its digest. `sick` never answers 200, `abrupt` ends without draining."""

    def offered(self, service: str, digest: str) -> str:
        """Have it where `service`'s are looked for, though it may be another's; its digest there."""

    def flipped(self, digest: str) -> AbstractContextManager[None]:
        """One byte of it differs within, where it is deployed from."""


@dataclass
class Bundles:
    """Bundles in the store of a state folder."""

    store: BundleStore
    folder: Path
    refused: str = r"expected sha256:[0-9a-f]+, got sha256:[0-9a-f]+"

    def pack(self, service: str, version: str, fault: str = "") -> str:
        source = self.folder / f"{service}-{version}-{fault}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        shutil.copy(HERE / "fixture_service.py", source / "main.py")
        if fault:
            (source / fault).touch()
        manifest = Manifest(service, version, ("{python}", "main.py"), "python", environment=("GREETING",))
        file = self.folder / f"{source.name}.tar.gz"
        pack(source, manifest, file)
        return self.store.put(file)

    def offered(self, service: str, digest: str) -> str:
        assert self.store.path(digest).exists(), service
        return digest

    @contextmanager
    def flipped(self, digest: str) -> Iterator[None]:
        file = self.store.path(digest)
        with flipped_byte(file):
            yield


@contextmanager
def flipped_byte(file: Path) -> Iterator[None]:
    """The byte in the middle of a file differs within."""
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    file.write_bytes(flipped)
    try:
        yield
    finally:
        file.write_bytes(whole)


@dataclass
class Place:
    """One environment, which at first runs 1.0.0."""

    home: Home
    packing: Packing
    open: TargetOf
    environment: Environment
    plan: Plan = field(default_factory=lambda: load_plan(HERE / "plan.yaml"))
    healthy_limit_seconds: int = HEALTHY_LIMIT_SECONDS
    token: int = 0

    def __post_init__(self) -> None:
        self.bundles = {
            (service, version): self.packing.pack(service, version)
            for service in ("api", "workers")
            for version in ("1.0.0", "1.1.0")
        }

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


def environment(target: LocalTargetSettings | ComposeTargetSettings = LOCAL) -> Environment:
    return Environment(
        name=ENVIRONMENT,
        stage="staging",
        target=target,
        configuration={"DOOR": "{front_door}/for/{redis_password}"},
        secrets_connection="fixture",
        signing_connection="fixture",
    )


def local(environment: Environment, plan: Plan, home: Home, secrets: Mapping[str, str]) -> LocalTarget:
    return LocalTarget(
        environment, plan, home, lambda _: secrets, healthy_limit_seconds=HEALTHY_LIMIT_SECONDS
    )


@contextmanager
def standing_place(folder: Path, **changes: object) -> Iterator[Place]:
    """A place of the local target that is up; `changes` to its fields."""
    home = Home(folder / "home")
    packing = Bundles(BundleStore(home.store), folder / "packing")
    made = replace(Place(home, packing, local, environment()), **changes)
    target = made.target()
    assert isinstance(target, LocalTarget)
    target.infrastructure.up()
    try:
        yield made
    finally:
        target.infrastructure.down()
