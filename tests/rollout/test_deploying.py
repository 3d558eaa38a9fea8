"""Clients send at the full rate where the new version serves, or is taken back, in one environment at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from roundtrip.errors import StaleTokenError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.release import Release
from roundtrip.rollback.restoring import begin
from roundtrip.rollout.deploying import ROLLBACK_BEGUN, deploy
from roundtrip.traffic.rate import ask_for_traffic, asked_rate, traffic_folder

INCLUDE = Path(__file__).parents[2] / "include"
ENVIRONMENTS = {
    stage: load_environment(INCLUDE / "environments" / f"local_{stage}.yaml")
    for stage in ("staging", "production")
}


@dataclass
class Recording:
    """A target that notes at which rates clients are asked to send when it converges."""

    home: Home
    seen: list[dict[str, float | None]] = field(default_factory=list)

    def converge(self, desired: Deployment, token: int, progress: object) -> Deployment:
        del token, progress
        self.seen.append(rates(self.home))
        return desired


def rates(home: Home) -> dict[str, float | None]:
    """Requests a second that are asked for now, by stage; None where nobody asked."""
    return {
        stage: asked_rate(traffic_folder(home, environment.name))
        for stage, environment in ENVIRONMENTS.items()
    }


def served(version: str) -> Deployment:
    """One service that has all its traffic from this version."""
    digest = "sha256:" + "0" * 64
    return Deployment((Placement("api", version, 1, digest, digest, 100),))


@pytest.fixture
def target(tmp_path: Path) -> Recording:
    return Recording(Home(tmp_path))


@pytest.fixture
def release(tmp_path: Path, target: Recording) -> Release:
    plan = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    return Release("r1", plan, ENVIRONMENTS, ledger, target.home, lambda _: {}, lambda _: target)


def test_what_starts_has_a_machine_at_rest_and_what_serves_has_the_full_rate(
    release: Release, target: Recording
) -> None:
    deploy(release, "staging", served("1.1.0"), holder="staging.place_canary")
    deploy(release, "staging", served("1.1.0"), holder="staging.take_all_traffic")
    deploy(release, "production", served("1.0.0"), holder="production.flags_off")
    deploy(release, "production", served("1.1.0"), holder="production.wave_1")
    assert target.seen == [
        {"staging": None, "production": 5},
        {"staging": 40, "production": 5},
        {"staging": 5, "production": 5},
        {"staging": 5, "production": 5},
    ]
    assert rates(target.home) == {"staging": 5, "production": 80}


def test_who_may_not_deploy_asks_for_no_traffic(release: Release, target: Recording) -> None:
    release.ledger.append(release.id, ROLLBACK_BEGUN, {"why": "a gate failed"})
    with pytest.raises(StaleTokenError):
        deploy(release, "production", Deployment(), holder="production.wave_1")
    assert target.seen == []
    assert asked_rate(traffic_folder(target.home, "local_production")) is None


def test_a_rollback_is_under_the_traffic_of_production(release: Release, target: Recording) -> None:
    for environment in ENVIRONMENTS.values():
        release.ledger.append_once(release.id, "deployed", environment.name, {"version": "1.1.0"})
    ask_for_traffic(target.home, ENVIRONMENTS, full=None)
    begin(release, "by hand, after the release was promoted")
    assert asked_rate(traffic_folder(target.home, "local_production")) == 80
    assert asked_rate(traffic_folder(target.home, "local_staging")) == 5
