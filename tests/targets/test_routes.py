"""What the proxy is told: pure, no server. What it makes of it, `contract` asks a real one."""

from __future__ import annotations

import re
from typing import Any

import pytest

from roundtrip.affinity import cookie_value
from roundtrip.plan.loading import load_plan
from roundtrip.targets.routes import Backend, render
from tests.targets.place import HERE

PLAN = load_plan(HERE / "plan.yaml")


def backend(version: str, weight: int, replicas: int = 1, service: str = "api") -> Backend:
    return Backend(service, version, weight, tuple(f"http://127.0.0.1:{20_000 + n}" for n in range(replicas)))


def routers(*backends: Backend, at: str, plan: Any = PLAN) -> dict[str, dict[str, Any]]:
    told = render(plan, backends)["http"]["routers"]
    return {name: router for name, router in told.items() if router["entryPoints"] == [at]}


def test_nothing_is_told_of_nothing() -> None:
    assert render(PLAN, []) == {}


def test_the_longest_prefix_is_asked_first_and_of_one_prefix_the_cookie() -> None:
    settings = PLAN.services["api"].model_copy(update={"route": "/", "extra_routes": ["/api/auth", "/api"]})
    plan = PLAN.model_copy(update={"services": {**PLAN.services, "api": settings}})
    found = routers(backend("1.0.0", 90), backend("1.1.0", 10), at="front", plan=plan)
    ranked = sorted(found, key=lambda name: -found[name]["priority"])
    by_prefix = [{name.rpartition("-")[2] for name in ranked[n : n + 3]} for n in (0, 3, 6)]
    assert by_prefix == [{"1"}, {"2"}, {"0"}], "/api/auth, /api, /"
    assert [found[ranked[n]]["service"] for n in (2, 5, 8)] == ["api", "api", "api"], "by weight comes last"
    assert {found[ranked[n]]["service"] for n in (0, 1)} == {"api-1-0-0", "api-1-1-0"}
    assert len({router["priority"] for router in found.values()}) == 6


@pytest.mark.parametrize(
    ("cookies", "is_held"),
    [
        (f"rt-release={cookie_value('api', '1.1.0')}", True),
        (f"rt-release={cookie_value('workers', '1.1.0')}", True),
        (f"session=x; rt-release={cookie_value('api', '1.1.0')}; other=y", True),
        (f"rt-release={cookie_value('api', '1.0.0')}", False),
        (f"rt-release={cookie_value('api', '1.1.0')}0", False),
        (f"not-rt-release={cookie_value('api', '1.1.0')}", False),
        ("rt-release=", False),
    ],
)
def test_the_cookie_of_a_release_counts_whichever_service_gave_it(cookies: str, is_held: bool) -> None:
    rule = routers(backend("1.1.0", 10), at="front")["api-1-1-0-front-0"]["rule"]
    pattern = re.search(r"HeaderRegexp\(`Cookie`, `(.*)`\)", rule)
    assert pattern is not None
    assert bool(re.search(pattern[1], cookies)) is is_held


def test_the_cookie_of_a_version_without_weight_counts_for_nothing() -> None:
    found = routers(backend("1.0.0", 100), backend("1.1.0", 0), at="front")
    assert sorted(found) == ["api-1-0-0-front-0", "api-front-0"]


def test_a_service_without_a_route_is_not_at_the_front_door() -> None:
    assert not routers(backend("1.0.0", 100, service="workers"), at="front")
    assert routers(backend("1.0.0", 100, service="workers"), at="internal")


def test_inside_a_release_is_whole_also_without_weight_and_not_with_what_does_not_run() -> None:
    with_both = routers(backend("1.0.0", 100), backend("1.1.0", 0), at="internal")
    assert {router["rule"]: router["service"] for router in with_both.values()} == {
        "Path(`/api`) || PathPrefix(`/api/`)": "api",
        "Path(`/1.0.0/api`) || PathPrefix(`/1.0.0/api/`)": "api-1-0-0",
        "Path(`/1.1.0/api`) || PathPrefix(`/1.1.0/api/`)": "api-1-1-0",
    }
    without = routers(backend("1.0.0", 100), backend("1.1.0", 0, replicas=0), at="internal")
    assert without["api-1-1-0-internal"]["service"] == "api"


def test_a_single_process_is_never_taken_out_for_a_late_health_answer() -> None:
    one = render(PLAN, [backend("1.0.0", 100)])["http"]["services"]["api-1-0-0"]["loadBalancer"]
    two = render(PLAN, [backend("1.0.0", 100, replicas=2)])["http"]["services"]["api-1-0-0"]["loadBalancer"]
    assert "healthCheck" not in one
    assert two["healthCheck"]["path"] == "/healthz"
