"""One answer to how many requests a service gets, whoever asks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from roundtrip.plan.environment import Environment
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan, Wave
from roundtrip.rollout.expected_traffic import canary_share, expected_flow, expected_requests

INCLUDE = Path(__file__).parents[2] / "include"
PLAN = load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")
PRODUCTION = load_environment(INCLUDE / "environments" / "local_production.yaml")
FIRST, *_, LAST = PLAN.waves()


@dataclass(frozen=True)
class Here:
    """What would be a release, in one environment."""

    place: Environment = PRODUCTION
    plan: Plan = PLAN

    def environment(self, stage: str) -> Environment:
        assert stage == "production"
        return self.place


def stating(**requests: float) -> Here:
    return Here(PRODUCTION.model_copy(update={"expected_requests_per_second": requests}))


def test_of_generated_traffic_each_service_gets_what_the_mix_sends_it() -> None:
    each = {name: expected_requests(Here(), "production", name) for name in PLAN.services}
    assert each == pytest.approx({"api": 64, "ops-ui": 16, "workers": 28, "backtester": 0})


def test_what_an_environment_states_of_a_service_counts_for_more() -> None:
    assert expected_requests(stating(api=7), "production", "api") == 7
    assert expected_requests(stating(api=7), "production", "ops-ui") == pytest.approx(16)


def test_nobody_states_anything() -> None:
    silent = Here(PRODUCTION.model_copy(update={"traffic": None}))
    assert expected_requests(silent, "production", "api") is None
    assert expected_flow(silent, "production", "api", FIRST) is None


@pytest.mark.parametrize(
    ("here", "service", "wave", "share"),
    [
        (Here(), "api", FIRST, 0.075),
        (stating(api=7), "api", FIRST, 0.1),
        (Here(), "api", LAST, 1.0),
        (Here(), "workers", FIRST, 0.5),
        (Here(), "workers", LAST, 0.75),
    ],
    ids=["clients-stay", "as-stated", "all", "one-of-two-workers", "stable-worker-stays"],
)
def test_the_canary_s_share(here: Here, service: str, wave: Wave, share: float) -> None:
    assert canary_share(here, "production", service, wave) == pytest.approx(share)
    flow, whole = (
        expected_flow(here, "production", service, wave),
        expected_requests(here, "production", service),
    )
    assert flow is not None
    assert whole is not None
    assert flow.canary == pytest.approx(whole * share)
    assert flow.canary + flow.stable == pytest.approx(whole)


@pytest.mark.parametrize(("stable", "new", "share"), [(0, 1, 1.0), (1, 0, 0.0)])
def test_what_only_one_version_has_is_that_version_s(stable: int, new: int, share: float) -> None:
    api = PLAN.services["api"]
    replicas = api.replicas.model_copy(update={"stable": stable, "new": new})
    services = {**PLAN.services, "api": api.model_copy(update={"replicas": replicas})}
    here = Here(plan=PLAN.model_copy(update={"services": services}))
    assert canary_share(here, "production", "api", FIRST) == share
