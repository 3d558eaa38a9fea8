"""An environment of the local target, with bundles of a service small enough to bend."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore, Manifest, pack
from roundtrip.targets.local.target import LocalTarget

HERE = Path(__file__).parent
SECRETS = {"REDIS_PASSWORD": "redispassword", "GREETING": "hello-from-a-secret"}


@dataclass
class Place:
    """One environment, its plan and the bundles that can be placed there."""

    home: Home
    plan: Plan
    environment: Environment
    bundles: Mapping[tuple[str, str], str]
    token: int = 0

    def target(self) -> LocalTarget:
        return LocalTarget(self.environment, self.plan, self.home, lambda _: SECRETS)

    def next_token(self) -> int:
        self.token += 1
        return self.token

    def placement(self, service: str, version: str, replicas: int = 1, weight: int = 100) -> Placement:
        configuration = self.target().configurations(version)[service]
        return Placement(service, version, replicas, self.bundles[service, version], configuration, weight)

    def whole(self, version: str) -> Deployment:
        return Deployment((self.placement("api", version), self.placement("workers", version)))

    def converge(self, desired: Deployment) -> Deployment:
        return self.target().converge(desired, self.next_token())


def pack_service(home: Home, folder: Path, service: str, version: str, *, is_sick: bool = False) -> str:
    source = folder / f"{service}-{version}{'-sick' if is_sick else ''}"
    source.mkdir(parents=True)
    shutil.copy(HERE / "fixture_service.py", source / "main.py")
    if is_sick:
        (source / "sick").touch()
    manifest = Manifest(service, version, ("{python}", "main.py"), "python", environment=("GREETING",))
    file = folder / f"{source.name}.tar.gz"
    pack(source, manifest, file)
    return BundleStore(home.store).put(file)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    home = Home(tmp_path / "home")
    plan = load_plan(HERE / "plan.yaml")
    environment = Environment(
        name="fixture_staging",
        stage="staging",
        target=LocalTargetSettings(kind="local"),
        configuration={},
        secrets_connection="fixture",
        signing_connection="fixture",
    )
    bundles = {
        (service, version): pack_service(home, tmp_path / "packing", service, version)
        for service in ("api", "workers")
        for version in ("1.0.0", "1.1.0")
    }
    made = Place(home, plan, environment, bundles)
    made.target().infrastructure.up()
    try:
        yield made
    finally:
        made.target().infrastructure.down()
