"""What is observed from instances, routes and flags: pure, no server."""

from __future__ import annotations

import random

import pytest

from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.targets.flags import Flags
from roundtrip.targets.local.instances import Instance
from roundtrip.targets.observing import deployment_of
from roundtrip.targets.routes import Backend


def instance(version: str, number: int = 1, bundle: str = "sha256:a", service: str = "api") -> Instance:
    port = 20_000 + 10 * int(version.replace(".", "")) + number
    return Instance(service, version, number, bundle, "sha256:c", port, "/healthz", None)


def backend(weight: int, *of: Instance) -> Backend:
    return Backend(of[0].service, of[0].version, weight, tuple(i.url for i in of))


STABLE, CANARY = instance("1.0.0"), instance("1.1.0")
ROUTES = [backend(90, STABLE), backend(10, CANARY)]


def test_healthy_instances_and_served_weights_make_the_deployment() -> None:
    assert deployment_of([STABLE, CANARY], ROUTES, {"x": True}) == Deployment(
        (
            Placement("api", "1.0.0", 1, "sha256:a", "sha256:c", 90),
            Placement("api", "1.1.0", 1, "sha256:a", "sha256:c", 10),
        ),
        {"x": True},
    )


def test_a_version_that_crashed_is_not_placed_and_its_weight_goes_to_nobody() -> None:
    observed = deployment_of([STABLE], ROUTES, {})
    assert observed.placements == (Placement("api", "1.0.0", 1, "sha256:a", "sha256:c", 90),)


def test_an_instance_without_a_route_is_seen_since_it_may_take_work_from_a_queue() -> None:
    observed = deployment_of([STABLE, CANARY], [backend(100, STABLE)], {})
    assert [(p.version, p.replicas, p.weight_percent) for p in observed.placements] == [
        ("1.0.0", 1, 100),
        ("1.1.0", 1, 0),
    ]


def test_of_two_builds_of_one_version_the_one_with_the_traffic_is_told() -> None:
    others = [instance("1.0.0", number, "sha256:b") for number in (2, 3)]
    observed = deployment_of([*others, STABLE], [backend(100, STABLE)], {})
    assert [(p.bundle, p.replicas) for p in observed.placements] == [("sha256:a", 1)]


def test_what_is_observed_does_not_depend_on_the_order_in_which_it_is_found() -> None:
    found = [instance(version, number) for version in ("1.0.0", "1.1.0") for number in (1, 2, 3)]
    found += [instance("1.1.0", 7, "sha256:b")]
    once = deployment_of(found, ROUTES, {})
    for seed in range(20):
        random.Random(seed).shuffle(found)  # noqa: S311 - a seeded order
        assert deployment_of(found, ROUTES[:: -1 if seed % 2 else 1], {}) == once


def test_flags_go_on_only_when_all_else_is_done(tmp_path) -> None:
    flags = Flags(tmp_path / "flags.json")
    assert flags.without_new({"a": True, "b": False}) == {"a": False, "b": False}
    flags.write({"a": True, "old": True})
    assert flags.without_new({"a": True, "b": True}) == {"a": True, "b": False}


@pytest.mark.parametrize("content", ["", "[]", '{"flags": {"a": "yes"}}', "{}"])
def test_a_flags_file_that_is_not_one_is_an_error_and_not_off(tmp_path, content: str) -> None:
    file = tmp_path / "flags.json"
    file.write_text(content)
    with pytest.raises(TargetError, match=r"flags\.json"):
        Flags(file).read()
