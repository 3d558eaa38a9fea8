"""A release that has reached production: real ledger, real Redis, a simulated target that has the stable version back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, whole
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from roundtrip.rollout import snapshots
from tests.simulators.target import SimulatedTarget

PLAN = Path(__file__).resolve().parents[1] / "dags" / "plans" / "small.yaml"
ENVIRONMENT = "simulated_production"


@dataclass
class Reached:
    """The release, its target, and what runs there now."""

    release: Release
    target: SimulatedTarget
    client: redis.Redis

    def runs(self, version: str) -> None:
        """Have `version` alone run."""
        self.target.converge(self._whole(version), self._token())

    def ends(self, outcome: str) -> None:
        data = {"outcome": outcome, "reason": "the test says so"}
        self.release.ledger.append(self.release.id, "release.outcome", data)

    def copies(self) -> list[Path]:
        return sorted((self.release.folder / "aside").glob("*"))

    def _whole(self, version: str) -> Deployment:
        plan = self.release.plan
        digests = dict.fromkeys(plan.services, f"sha256:{version}")
        return whole(version, plan, digests, self.target.configurations(version))

    def _token(self) -> int:
        return self.release.ledger.take_token(ENVIRONMENT, release=self.release.id, holder="test")


@pytest.fixture
def reached(home_folder: Path, redis_server: str, redis_client: redis.Redis) -> Reached:
    """Snapshot taken with one order there; then 1.1.0 ran and wrote; now 1.0.0 runs alone."""
    plan, home = load_plan(PLAN), Home(home_folder)
    environment = Environment(
        name=ENVIRONMENT,
        stage="production",
        target=LocalTargetSettings(kind="local"),
        secrets_connection="none",
        signing_connection="signing",
    )
    target = SimulatedTarget(home.root, environment, plan, f"{redis_server}/9")
    release = Release(
        id="release_small.r1",
        plan=plan,
        environments={"production": environment},
        ledger=Ledger(home.ledger_url),
        home=home,
        secrets=lambda _: {},
        open_target=lambda _: target,
    )
    made = Reached(release, target, redis_client)
    made.runs("1.0.0")
    started = {"plan": plan.name, "environments": {"production": ENVIRONMENT}}
    release.ledger.append_once(release.id, "release.started", "started", started)
    snapshots.take(release, "production")
    release.ledger.append_once(release.id, "deployed", ENVIRONMENT, {"version": "1.1.0"})
    made.runs("1.1.0")
    made.runs("1.0.0")
    return made
