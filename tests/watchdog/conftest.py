"""A release that stands in a real environment, half of the traffic on its new version."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from roundtrip import lease
from roundtrip.ledger.ledger import Event, Ledger
from roundtrip.plan.deployment import Deployment, mixed
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout import leasing
from roundtrip.rollout.deploying import deploy
from roundtrip.targets.compose.target import ComposeTarget
from roundtrip.targets.local.target import LocalTarget
from tests.targets.place import HERE, Place, standing_place

LEASE_SECONDS = 5.0
LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass
class Standing:
    """The release and where it stands."""

    place: Place
    release: Release

    @property
    def folder(self) -> Path:
        return self.place.folder

    @property
    def target(self) -> LocalTarget | ComposeTarget:
        target = self.place.target()
        assert isinstance(target, LocalTarget | ComposeTarget)
        return target

    def wave(self) -> Deployment:
        """Both versions, the new one with half of the traffic."""
        plan = self.release.plan
        stable, new = (self.place.whole(v) for v in (plan.from_version, plan.to_version))
        return mixed(stable, new, plan, plan.waves()[0])

    def hold(self) -> None:
        """The lease, as a wave holds it."""
        leasing.hold(self.release, self.wave(), "production.wave_1")

    def weight(self, version: str) -> int:
        """Of the api's traffic, as the proxy serves it."""
        placed = self.target.observe().get("api", version)
        return placed.weight_percent if placed else 0

    def said(self, kind: str) -> Event | None:
        return self.release.ledger.last(self.release.id, kind)

    def until(self, what: str, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not happened():
            if time.monotonic() > deadline:
                log = self.target.infrastructure.daemon.logs / "watchdog.log"
                pytest.fail(f"never seen within {LIMIT_SECONDS:g} s: {what}\n{log.read_text()}")
            time.sleep(POLL_SECONDS)


def plan() -> Plan:
    """With a short lease."""
    loaded = load_plan(HERE / "plan.yaml")
    production = loaded.production.model_copy(update={"lease_seconds": LEASE_SECONDS})
    return loaded.model_copy(update={"production": production})


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An environment of the local target that is up."""
    with standing_place(tmp_path_factory.mktemp("watched"), plan=plan()) as made:
        yield made


@pytest.fixture
def standing(environment: Place, request: pytest.FixtureRequest) -> Iterator[Standing]:
    """Without a lease yet; each test has a release of its own."""
    ledger = Ledger(environment.home.ledger_url)
    release = Release(
        id=f"small.{request.node.name}",
        plan=environment.plan,
        environments={"production": environment.environment},
        ledger=ledger,
        home=environment.home,
        secrets=lambda _: {},
        open_target=lambda _: environment.target(),
    )
    one = Standing(environment, release)
    environment.token = ledger.take_token(environment.environment.name, release="setup", holder="test")
    environment.converge(environment.whole("1.0.0"))
    deploy(release, "production", one.wave(), holder="production.wave_1")
    yield one
    lease.end(environment.folder, release.id)
