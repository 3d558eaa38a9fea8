"""The snapshot is the whole stable version, or there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import redis
from servers import free_port

from roundtrip.errors import TargetError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, whole
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.release import Release
from roundtrip.rollout import snapshots
from tests.simulators.target import SimulatedTarget

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
PRODUCTION = load_environment(INCLUDE / "environments" / "local_production.yaml")
VERSION = PLAN.from_version


def release_of(folder: Path, redis_url: str) -> Release:
    target = SimulatedTarget(folder, PRODUCTION, PLAN, redis_url)
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    return Release(
        "r1", PLAN, {"production": PRODUCTION}, ledger, Home(folder), lambda _: {}, lambda _: target
    )


def stands(release: Release, deployment: Deployment) -> None:
    release.target("production")._write(deployment)


def stable(release: Release) -> Deployment:
    digests = dict.fromkeys(PLAN.services, "sha256:bundle")
    return whole(VERSION, PLAN, digests, release.target("production").configurations(VERSION))


@pytest.fixture
def release(tmp_path: Path, redis_server: str, redis_client: redis.Redis) -> Release:
    return release_of(tmp_path, f"{redis_server}/9")


@pytest.mark.parametrize("service", sorted(PLAN.services))
def test_a_service_that_is_down_as_it_is_taken_is_named_and_nothing_is_kept(
    release: Release, service: str
) -> None:
    there = stable(release)
    stands(release, Deployment(tuple(p for p in there.placements if p.service != service)))
    with pytest.raises(TargetError, match=f"{service}: expected 1 processes, got 0") as raised:
        snapshots.take(release, "production")
    assert raised.value.retriable
    assert snapshots.read(release, "production") is None
    stands(release, there)
    assert snapshots.take(release, "production").deployment == there


def test_it_has_the_routes_of_the_front_door_and_the_rules_of_the_state(release: Release) -> None:
    stands(release, stable(release))
    taken = snapshots.take(release, "production")
    assert taken.routes == {"PathPrefix(`/`)": "ops-ui", "PathPrefix(`/api`)": "api"}
    assert snapshots.read(release, "production") == taken
    event = release.ledger.last("r1", "snapshot.taken")
    assert event is not None
    assert [rule["pattern"] for rule in event.data["state_rules"]] == [r.pattern for r in PLAN.rollback.state]


def test_one_of_a_time_before_there_were_routes_can_be_read(release: Release) -> None:
    data = {"deployment": stable(release).to_json(), "redis": {}}
    release.ledger.append_once("r1", "snapshot.taken", PRODUCTION.name, data)
    taken = snapshots.read(release, "production")
    assert taken is not None
    assert (taken.deployment, taken.routes) == (stable(release), None)


def test_one_whose_traffic_is_not_all_its_own_is_named(release: Release) -> None:
    there = stable(release)
    cut = tuple(replace(p, weight_percent=40) if p.service == "api" else p for p in there.placements)
    stands(release, Deployment(cut))
    with pytest.raises(TargetError, match="api: expected all of its traffic, got 40 %"):
        snapshots.take(release, "production")


def test_more_than_the_plan_says_is_kept(release: Release) -> None:
    there = stable(release)
    more = tuple(replace(p, replicas=p.replicas + 2) for p in there.placements)
    stands(release, Deployment(more))
    assert snapshots.take(release, "production").deployment == Deployment(more)


def test_without_redis_it_is_an_error_of_the_environment_that_is_tried_again(tmp_path: Path) -> None:
    release = release_of(tmp_path, f"redis://:open-sesame@127.0.0.1:{free_port()}/0")
    stands(release, stable(release))
    with pytest.raises(TargetError, match="its Redis: ConnectionError") as raised:
        snapshots.take(release, "production")
    assert raised.value.retriable
    assert "open-sesame" not in str(raised.value)
    assert snapshots.read(release, "production") is None
