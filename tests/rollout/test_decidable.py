"""A plan whose gates could not decide with the stated traffic is refused when the release is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.errors import PlanError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment, ErrorTracker, Traffic
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import GuardRail, Plan
from roundtrip.release import Release
from roundtrip.rollout.opening import open_release

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
LOCAL = {
    stage: load_environment(INCLUDE / "environments" / f"local_{stage}.yaml")
    for stage in ("staging", "production")
}


def nothing(_: object) -> None:
    raise AssertionError("opening a release needs neither target nor secret")


def opened(tmp_path: Path, plan: Plan = PLAN, **changes: object) -> Release:
    """The release, opened; `changes` to the environment of production."""
    production = LOCAL["production"].model_copy(update=changes)
    environments: dict[str, Environment] = {**LOCAL, "production": production}
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    release = Release("r1", plan, environments, ledger, Home(tmp_path), nothing, nothing)
    open_release(release, "somebody")
    return release


def test_the_project_s_own_plan_and_environments_can_decide(tmp_path: Path) -> None:
    release = opened(tmp_path)
    assert release.ledger.last("r1", "release.started") is not None


def test_too_little_traffic_is_refused_with_the_numbers_and_nothing_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        opened(tmp_path, traffic=Traffic(requests_per_second=2))
    assert "gates.production-wave.api-errors in production, wave 1: needs " in caught.value.what
    assert "within 180 s" in caught.value.what
    assert "requests/s to api at a share of 7.5%, stated are 1.6" in caught.value.what
    assert "in staging" not in caught.value.what
    assert Ledger(f"sqlite:///{tmp_path / 'ledger.db'}").events() == []


def test_a_service_is_held_to_its_own_part_of_the_traffic_and_not_to_the_sum(tmp_path: Path) -> None:
    """7 requests/s would be enough for the api, if it got them all."""
    with pytest.raises(PlanError) as caught:
        opened(tmp_path, traffic=Traffic(requests_per_second=7))
    assert "requests/s to api at a share of 7.5%, stated are 5.6" in caught.value.what


def test_what_a_service_gets_counts_for_more_than_the_sum_of_all(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        opened(tmp_path, expected_requests_per_second={"workers": 0.1})
    assert "order-errors in production, wave 1" in caught.value.what
    assert "api-errors" not in caught.value.what


def test_an_environment_that_states_no_traffic_is_not_refused(tmp_path: Path) -> None:
    release = opened(tmp_path, traffic=None)
    assert release.ledger.last("r1", "release.started") is not None


def test_a_metric_whose_server_is_nowhere_is_refused(tmp_path: Path) -> None:
    soak = PLAN.gates["soak"]
    asked = soak.metrics[0].model_copy(update={"source": "prometheus"})
    gates = {**PLAN.gates, "soak": soak.model_copy(update={"metrics": [asked, *soak.metrics[1:]]})}
    with pytest.raises(PlanError, match=r"gates\.soak\.api-errors: production names no Prometheus server"):
        opened(tmp_path, PLAN.model_copy(update={"gates": gates}))


def test_a_guard_rail_whose_error_tracker_is_nowhere_is_refused(tmp_path: Path) -> None:
    soak = PLAN.gates["soak"]
    rail = GuardRail(name="new-errors", source="error-tracking", service="workers")
    gates = {**PLAN.gates, "soak": soak.model_copy(update={"guard_rails": [*soak.guard_rails, rail]})}
    plan = PLAN.model_copy(update={"gates": gates})
    with pytest.raises(
        PlanError, match=r"gates\.soak\.guard_rails\.new-errors: production names no error tracker"
    ):
        opened(tmp_path, plan)
    there = ErrorTracker(kind="bugsink", url="http://127.0.0.1:8000", projects=[1])
    assert opened(tmp_path, plan, error_tracker=there).ledger.last("r1", "release.started") is not None


def test_a_change_of_a_metric_that_is_not_judged_in_blocks_is_refused(tmp_path: Path) -> None:
    changed = (
        LOCAL["production"]
        .gates["soak"]
        .model_copy(update={"metric_burst_seconds": {"orders-wating": 1.0, "api-errors": 1.0}})
    )
    with pytest.raises(PlanError) as caught:
        opened(tmp_path, gates={**LOCAL["production"].gates, "soak": changed})
    for name in ("orders-wating", "api-errors"):
        expected = f"gates.soak.metric_burst_seconds.{name} in production: the plan has no such metric"
        assert expected in caught.value.what
