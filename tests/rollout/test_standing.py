"""Pulling traffic back while processes are down: what was placed stays placed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.rollout.standing import pulled_back

SERVICES = ("api", "ops-ui", "workers")


def placement(service: str, version: str, replicas: int, weight: int) -> Placement:
    return Placement(
        service, version, replicas, f"sha256:{service}-{version}", "sha256:configuration", weight
    )


def wave(percent: int) -> Deployment:
    """Both versions of every service, the new one with `percent` of the traffic."""
    return Deployment(
        tuple(
            placement(service, version, replicas, weight)
            for service in SERVICES
            for version, replicas, weight in (("1.0.0", 2, 100 - percent), ("1.1.0", 3, percent))
        ),
        {"new-page": True},
    )


@st.composite
def partly_down(draw: st.DrawFn, deployment: Deployment) -> Deployment:
    """`deployment` as it is observed while some of its processes are down."""
    left = []
    for p in deployment.placements:
        up = draw(st.integers(0, p.replicas))
        if up:
            left.append(replace(p, replicas=up))
    return Deployment(tuple(left), deployment.flags)


@given(st.data(), st.integers(0, 100), st.integers(0, 100))
def test_whatever_is_down_stable_is_whole_and_takes_all_traffic(
    data: st.DataObject, placed_percent: int, seen_percent: int
) -> None:
    placed, reached = wave(placed_percent), wave(seen_percent)
    observed = data.draw(partly_down(reached))
    back = pulled_back(observed, placed, "1.1.0")
    for service in SERVICES:
        stable = back.get(service, "1.0.0")
        assert stable is not None
        assert (stable.replicas, stable.weight_percent) == (2, 100)
        new, seen = back.get(service, "1.1.0"), observed.get(service, "1.1.0")
        assert (new is None) == (seen is None), "nothing of the new version is started or stopped"
        if new is not None and seen is not None:
            assert (new.replicas, new.weight_percent) == (seen.replicas, 0)
    assert back.flags == observed.flags
    assert pulled_back(back, placed, "1.1.0") == back


def test_a_service_whose_stable_version_was_retired_keeps_its_traffic() -> None:
    promoted = Deployment((placement("api", "1.1.0", 3, 100),))
    assert pulled_back(promoted, promoted, "1.1.0") == promoted


def test_stable_that_is_coming_back_counts_although_it_was_not_placed_before() -> None:
    promoted = Deployment((placement("api", "1.1.0", 3, 100),))
    both = Deployment((placement("api", "1.1.0", 3, 100), placement("api", "1.0.0", 1, 0)))
    stable = pulled_back(both, promoted, "1.1.0").get("api", "1.0.0")
    assert stable is not None
    assert stable.weight_percent == 100


def test_without_anything_placed_the_observed_counts() -> None:
    assert pulled_back(wave(50), Deployment(), "1.1.0").get("api", "1.0.0") == placement(
        "api", "1.0.0", 2, 100
    )
