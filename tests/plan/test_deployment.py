"""Laws of the deployment as a value: every way a release changes it keeps a service served."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.plan.deployment import Deployment, Placement, in_words, mixed, pulled, retired, whole
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan, Replicas, Wave

PLAN = load_plan(Path(__file__).parent / "fixtures" / "tiny.yaml")
STABLE, NEW = PLAN.from_version, PLAN.to_version
SERVICES = tuple(PLAN.services)
FLAGS = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans())
BUNDLES = {name: f"sha256:{name}" for name in SERVICES}


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """The tiny plan with other replicas: also services that only one side has."""
    services = {
        name: service.model_copy(
            update={
                "replicas": Replicas(stable=draw(st.integers(0, 5)), new=draw(st.integers(0, 20))),
                "queue": draw(st.booleans()),
            }
        )
        for name, service in PLAN.services.items()
    }
    steps = [*sorted(draw(st.sets(st.integers(1, 99), max_size=4))), 100]
    production = PLAN.production.model_copy(
        update={"traffic_percent": steps, "worker_step_percent": draw(st.integers(1, 100))}
    )
    return PLAN.model_copy(update={"services": services, "production": production})


@st.composite
def routed(draw: st.DrawFn) -> Deployment:
    """Any deployment of both versions with all its traffic somewhere."""
    placements = []
    for service in SERVICES:
        versions = draw(st.lists(st.sampled_from([STABLE, NEW]), unique=True, max_size=2))
        first = draw(st.integers(0, 100)) if len(versions) == 2 else 100
        for version, weight in zip(versions, (first, 100 - first), strict=False):
            placements.append(Placement(service, version, draw(st.integers(1, 5)), "b", "c", weight))
    return Deployment(tuple(placements), draw(FLAGS))


def sides(plan: Plan, flags: dict[str, bool]) -> tuple[Deployment, Deployment]:
    stable = whole(STABLE, plan, BUNDLES, BUNDLES).with_flags(flags)
    return stable, whole(NEW, plan, BUNDLES, BUNDLES)


def total(deployment: Deployment, service: str) -> int:
    return sum(p.weight_percent for p in deployment.of(service))


@given(plans(), FLAGS)
def test_in_every_wave_the_weights_of_a_service_add_up_to_100(plan: Plan, flags: dict[str, bool]) -> None:
    stable, new = sides(plan, flags)
    for wave in plan.waves():
        now = mixed(stable, new, plan, wave)
        assert {total(now, service) for service in now.services()} <= {100}
        assert now.flags == stable.flags


@given(plans(), FLAGS)
def test_from_wave_to_wave_the_new_version_only_grows_and_stable_stays_whole(
    plan: Plan, flags: dict[str, bool]
) -> None:
    stable, new = sides(plan, flags)
    before = stable
    for wave in plan.waves():
        now = mixed(stable, new, plan, wave)
        for p in new.placements:
            was, is_now = before.get(p.service, NEW), now.get(p.service, NEW)
            assert is_now is not None
            assert 1 <= is_now.replicas <= p.replicas
            assert is_now.replicas >= (was.replicas if was else 0)
            assert is_now.weight_percent >= (was.weight_percent if was else 0)
        for p in stable.placements:
            kept = now.get(p.service, STABLE)
            assert kept is not None
            assert kept.replicas == p.replicas
        before = now


@given(plans(), FLAGS)
def test_after_the_last_wave_retiring_the_old_version_leaves_the_new_one_alone(
    plan: Plan, flags: dict[str, bool]
) -> None:
    stable, new = sides(plan, flags)
    last = mixed(stable, new, plan, plan.waves()[-1])
    for p in new.placements:
        assert last.get(p.service, NEW) == p
    promoted = retired(last, STABLE)
    assert {p for p in promoted.placements if p.service in new.services()} == set(new.placements)
    assert STABLE not in promoted.versions()


@given(plans(), FLAGS)
def test_a_wave_that_is_taken_back_is_the_deployment_before_it(plan: Plan, flags: dict[str, bool]) -> None:
    stable, new = sides(plan, flags)
    for wave in plan.waves():
        assert retired(mixed(stable, new, plan, wave), NEW) == stable


@given(routed(), st.sampled_from([STABLE, NEW]))
def test_pulling_keeps_every_process_and_flag_and_changes_nothing_the_second_time(
    deployment: Deployment, version: str
) -> None:
    once = pulled(deployment, version)
    assert pulled(once, version) == once
    assert [replace(p, weight_percent=0) for p in once.placements] == [
        replace(p, weight_percent=0) for p in deployment.placements
    ]
    assert once.flags == deployment.flags


@given(routed(), st.sampled_from([STABLE, NEW]))
def test_pulling_leaves_no_traffic_where_another_version_can_take_it_and_all_where_none_can(
    deployment: Deployment, version: str
) -> None:
    after = pulled(deployment, version)
    for service in deployment.services():
        assert total(after, service) == 100
        at = after.get(service, version)
        if at is not None:
            assert at.weight_percent == (0 if len(deployment.of(service)) > 1 else 100)


@given(routed(), st.sampled_from([STABLE, NEW]))
def test_retiring_is_final_and_leaves_what_is_left_served(deployment: Deployment, version: str) -> None:
    once = retired(deployment, version)
    assert retired(once, version) == once
    assert version not in once.versions()
    assert {total(once, service) for service in once.services()} <= {100}


@given(routed(), st.data())
def test_pulling_a_version_that_crashed_gives_its_traffic_to_who_is_left(
    deployment: Deployment, data: st.DataObject
) -> None:
    """What is observed when every process of a placement is dead: the placement is not there, its weight is missing."""
    dead = data.draw(st.sets(st.sampled_from(deployment.placements))) if deployment.placements else set()
    observed = Deployment(tuple(set(deployment.placements) - dead), deployment.flags)
    after = pulled(observed, NEW)
    for service in after.services():
        if after.get(service, STABLE) is not None:
            assert total(after, service) == 100


@given(routed())
def test_json_and_back_is_the_same_deployment(deployment: Deployment) -> None:
    again = Deployment.from_json(json.loads(json.dumps(deployment.to_json())))
    assert again == deployment
    assert again.digest() == deployment.digest()


@given(routed(), st.randoms())
def test_the_order_in_which_it_was_put_together_does_not_matter(deployment: Deployment, generator) -> None:
    shuffled = list(deployment.placements)
    generator.shuffle(shuffled)
    flags = dict(reversed(list(deployment.flags.items())))
    again = Deployment(tuple(shuffled), flags)
    assert again == deployment
    assert again.digest() == deployment.digest()


@given(routed(), FLAGS)
def test_flags_change_nothing_else(deployment: Deployment, flags: dict[str, bool]) -> None:
    after = deployment.with_flags(flags)
    assert after.placements == deployment.placements
    assert after.flags == {**deployment.flags, **flags}
    assert after.with_flags(flags) == after


@pytest.mark.parametrize(
    ("placements", "problem"),
    [
        (lambda: (Placement("api", "1.0.0", 0, "b", "c", 0),), "replicas: expected at least 1, got 0"),
        (
            lambda: (Placement("api", "1.0.0", 1, "b", "c", 101),),
            "weight_percent: expected 0 to 100, got 101",
        ),
        (lambda: (Placement("api", "1.0.0", 1, "b", "c", -1),), "weight_percent: expected 0 to 100, got -1"),
        (
            lambda: tuple(Placement("api", version, 1, "b", "c", 60) for version in ("1.0.0", "1.1.0")),
            "expected at most 100 in all, got 120",
        ),
        (
            lambda: tuple(Placement("api", "1.0.0", count, "b", "c", 0) for count in (1, 2)),
            "placed twice",
        ),
    ],
)
def test_what_is_no_deployment_cannot_be_made(placements, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Deployment(placements())


def test_a_wave_of_workers_is_at_least_one_and_the_last_has_all() -> None:
    wave = Wave(number=1, last=False, traffic_percent=10, worker_step_percent=10)
    assert [wave.workers(count) for count in (1, 3, 10, 11)] == [1, 1, 1, 2]
    assert wave.model_copy(update={"last": True}).workers(11) == 11


def test_a_deployment_has_one_form_of_words() -> None:
    api = Placement("api", "1.1.0", 2, "sha256:x", "", 50)
    assert in_words(Deployment((api,), {"login": True}).to_json()) == "api 1.1.0 × 2 at 50 %; flags on: login"
    assert in_words(Deployment().to_json()) == "nothing runs; flags off"
