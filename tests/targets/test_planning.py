"""Laws of the pure planning step: what has to be kept, started and retired."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.targets.instances import Start
from roundtrip.targets.local.instances import Instance
from roundtrip.targets.planning import Steps, plan_steps, runs

SERVICES, VERSIONS, BUILDS = ("api", "workers"), ("1.0.0", "1.1.0"), ("sha256:a", "sha256:b")

instances = st.sets(
    st.builds(
        Instance,
        service=st.sampled_from(SERVICES),
        version=st.sampled_from(VERSIONS),
        number=st.integers(1, 5),
        bundle=st.sampled_from(BUILDS),
        configuration=st.sampled_from(BUILDS),
        port=st.just(20_000),
        health=st.just("/healthz"),
        metrics=st.just("/metrics"),
    ),
    max_size=12,
).map(lambda found: {i.name: i for i in found}.values())

placements = st.builds(
    Placement,
    service=st.sampled_from(SERVICES),
    version=st.sampled_from(VERSIONS),
    replicas=st.integers(1, 4),
    bundle=st.sampled_from(BUILDS),
    configuration=st.sampled_from(BUILDS),
    weight_percent=st.just(0),
)
deployments = st.lists(placements, max_size=4, unique_by=lambda p: (p.service, p.version)).map(
    lambda found: Deployment(tuple(found))
)


def done(steps: Steps) -> list[Instance]:
    """The instances that are there when the steps were done."""
    return [*steps.keep, *(instance for start in steps.start for instance in started(start))]


def started(start: Start) -> list[Instance]:
    p = start.placement
    return [
        Instance(p.service, p.version, number, p.bundle, p.configuration, 20_000, "/healthz", None)
        for number in start.numbers
    ]


@given(instances, deployments)
def test_the_steps_lead_to_what_is_desired(present, desired) -> None:
    after = done(plan_steps(present, desired))
    for p in desired.placements:
        of = [i for i in after if (i.service, i.version) == (p.service, p.version)]
        assert len(of) == p.replicas
        assert all(runs(i, p) for i in of)
    assert len(after) == sum(p.replicas for p in desired.placements)


@given(instances, deployments)
def test_planning_again_after_the_steps_changes_nothing(present, desired) -> None:
    after = done(plan_steps(present, desired))
    again = plan_steps(after, desired)
    assert sorted(again.keep) == sorted(after)
    assert (again.start, again.retire) == ((), ())


@given(instances, deployments)
def test_every_instance_is_either_kept_or_retired(present, desired) -> None:
    steps = plan_steps(present, desired)
    assert sorted([*steps.keep, *steps.retire]) == sorted(present)


@given(instances, deployments)
def test_a_new_instance_never_has_the_name_of_one_that_is_there(present, desired) -> None:
    steps = plan_steps(present, desired)
    names = [instance.name for start in steps.start for instance in started(start)]
    assert len(set(names)) == len(names)
    assert not {i.name for i in present} & set(names)


@given(instances, deployments)
def test_nothing_that_fits_is_retired_while_another_is_started(present, desired) -> None:
    steps = plan_steps(present, desired)
    for start in steps.start:
        p = start.placement
        assert not any((i.service, i.version) == (p.service, p.version) and runs(i, p) for i in steps.retire)


@given(instances, deployments, st.randoms())
def test_the_order_in_which_instances_are_found_does_not_matter(present, desired, generator) -> None:
    shuffled = list(present)
    generator.shuffle(shuffled)
    assert plan_steps(shuffled, desired) == plan_steps(list(present), desired)


@given(instances, deployments, st.data())
def test_a_lost_instance_is_replaced_under_another_name(present, desired, data) -> None:
    lost = data.draw(st.sets(st.sampled_from(sorted(present)))) if present else set()
    steps = plan_steps(present, desired, lost)
    assert not lost & set(steps.keep)
    assert lost <= set(steps.retire)
    assert len(done(steps)) == sum(p.replicas for p in desired.placements)
