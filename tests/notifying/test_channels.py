"""Who is told by what: the plan names people, the environment says how they are reached."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundtrip.errors import PlanError
from roundtrip.notifying import messages
from roundtrip.notifying.channels import channels, unreached
from roundtrip.notifying.telling import notify
from roundtrip.plan.environment import ConnectionChannel, MomentName
from roundtrip.plan.loading import load_environment
from tests.notifying.conftest import People, failed, told

GROUPS = ("on-call", "release-managers", "auditors")
NAMES = st.lists(st.sampled_from(GROUPS), unique=True)
ENTRIES = st.one_of(
    st.just("file"),
    st.builds(
        lambda name, people: {"connection": name, "people": people}, st.sampled_from(["a", "b", "c"]), NAMES
    ),
)


def names(people: People, *notify: object, named: tuple[str, ...] = ()) -> list[str]:
    people.addresses = {"room": {"x": "json://1"}, "pager": {"y": "json://2", "z": "json://3"}}
    return [
        channel.name for channel in channels(people.release(*notify, named=named), ("production",), "broken")
    ]


def test_a_channel_with_people_is_told_when_the_plan_names_them(people: People) -> None:
    entries = ({"connection": "room", "people": ["auditors"]}, {"connection": "pager", "people": ["on-call"]})
    assert names(people, *entries, "file", named=("on-call",)) == ["file", "pager/y", "pager/z"]


def test_a_plan_that_names_nobody_tells_everybody(people: People) -> None:
    entries = ({"connection": "room", "people": ["auditors"]}, {"connection": "pager"})
    assert names(people, *entries) == ["pager/y", "pager/z", "room/x"]


def test_a_pager_is_told_of_the_moments_that_it_is_for(people: People) -> None:
    entries = ({"connection": "pager", "moments": ["started"]}, {"connection": "room", "moments": ["broken"]})
    assert names(people, *entries) == ["room/x"]


def test_an_environment_may_name_each_moment_and_no_other() -> None:
    assert set(get_args(MomentName)) == {moment.value for moment in messages.Moment}


def test_an_address_is_not_shown_by_the_value_that_holds_it(people: People) -> None:
    people.addresses = {"room": {"x": "json://token"}}
    (channel,) = channels(people.release({"connection": "room"}), ("production",), "broken")
    assert channel.url == "json://token"
    assert "token" not in repr(channel)


def test_people_whom_no_channel_reaches_are_recorded_once(people: People) -> None:
    people.addresses = {"room": {}}
    release = people.release({"connection": "room", "people": ["oncall"]}, named=("on-call",))
    for _ in range(2):
        notify(release, messages.started(release))
    assert failed(release) == {"on-call": "simulated_production has no channel to them"}
    assert len(release.ledger.events(release.id, kind="notification.failed")) == 1
    assert told(release) == [("file", "started")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(notify=st.lists(ENTRIES), named=NAMES)
def test_whoever_the_plan_names_is_told_or_known_not_to_be_reached(
    people: People, notify: list[object], named: list[str]
) -> None:
    people.addresses = {name: {"x": "json://1"} for name in "abc"}
    release = people.release(*notify, named=tuple(named))
    environment = release.environment("production")
    told = {channel.name for channel in channels(release, ("production",), "broken")}
    for person in named:
        reached = any(
            not entry.people or person in entry.people if isinstance(entry, ConnectionChannel) else True
            for entry in environment.notify
            if (f"{entry.connection}/x" if isinstance(entry, ConnectionChannel) else entry) in told
        )
        assert reached != (person in unreached(release, environment))


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("[fiel]", "notify.0.file: Input should be 'file'"),
        ("[{connection: x, peple: [on-call]}]", "unknown key (did you mean 'people'?)"),
        ("[{connection: x, moments: [broke]}]", "notify.0.connection.moments.0: Input should be"),
        ("[{people: [on-call]}]", "notify.0.connection.connection: Field required"),
    ],
)
def test_a_mistake_in_the_environment_is_named(tmp_path_factory, written: str, problem: str) -> None:
    path = tmp_path_factory.mktemp("environments") / "x_production.yaml"
    path.write_text(
        "name: x_production\nstage: production\ntarget: {kind: local}\n"
        f"secrets_connection: s\nsigning_connection: s\nnotify: {written}\n"
    )
    with pytest.raises(PlanError) as caught:
        load_environment(path)
    assert problem in caught.value.what
