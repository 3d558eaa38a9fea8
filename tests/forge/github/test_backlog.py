"""What is left to do becomes an issue once, wherever people move it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.forge.backlog import BacklogItem
from roundtrip.forge.github import backlog
from roundtrip.forge.github.client import GitHubClient
from roundtrip.forge.github.markers import marked, values_of, without_marker
from tests.forge.github.contract import Answer
from tests.forge.github.stand_in import Fault, StandIn, refusal

ITEMS = [
    BacklogItem(f"r1/lint/{number}", f"lint: finding {number}", f"Where: `{number}`\n", ("checklist",))
    for number in range(5)
]


def since() -> datetime:
    return datetime.now(UTC) - timedelta(minutes=1)


def add(client: GitHubClient) -> dict[str, int]:
    return backlog.add(client, ITEMS, "v1.2.0", since())


@pytest.mark.integration
def test_every_item_is_an_issue_in_the_next_versions_milestone(client: GitHubClient, github: StandIn) -> None:
    assert add(client) == {item.key: number for number, item in enumerate(ITEMS, 1)}
    assert [issue["title"] for issue in github.issues] == [item.title for item in ITEMS]
    assert {issue["milestone"]["title"] for issue in github.issues} == {"v1.2.0"}
    assert {label["name"] for label in github.issues[0]["labels"]} == {"roundtrip", "checklist"}
    assert len(github.milestones) == 1


@pytest.mark.integration
def test_again_nothing_is_written_though_people_have_moved_it_all(
    client: GitHubClient, github: StandIn
) -> None:
    numbers = add(client)
    for issue in github.issues:
        issue |= {"state": "closed", "milestone": None, "labels": [], "title": "ours now"}
        issue["body"] = f"We looked at it.\n\n{issue['body']}\n\nDone."
    github.page_size = 2
    before = len(github.writes())
    assert add(client) == numbers
    assert len(github.writes()) == before


@pytest.mark.integration
@pytest.mark.parametrize("does_it", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("answer", [None, refusal(502, "Bad Gateway")], ids=["connection-closed", "502"])
@pytest.mark.parametrize("path", ["/issues$", "/milestones$"])
def test_a_lost_answer_makes_nothing_twice(
    client: GitHubClient, github: StandIn, path: str, answer: Answer | None, does_it: bool
) -> None:
    github.faults.append(Fault("POST", path, answer, does_it))
    assert add(client) == {item.key: number for number, item in enumerate(ITEMS, 1)}
    assert (len(github.issues), len(github.milestones)) == (len(ITEMS), 1)


@pytest.mark.integration
def test_with_nothing_left_there_is_no_milestone(client: GitHubClient, github: StandIn) -> None:
    assert backlog.add(client, [], "v1.2.0", since()) == {}
    assert github.writes() == []


@pytest.mark.parametrize(
    ("before", "now", "after"),
    [
        ("1.0.0", "1.1.0", "1.2.0"),
        ("1.1.0", "1.1.1", "1.1.2"),
        ("1.9.3", "2.0.0", "3.0.0"),
        ("1.1.0", "1.1.0", "1.1.1"),
    ],
)
def test_the_next_version_is_a_step_as_large_as_this_one(before: str, now: str, after: str) -> None:
    assert backlog.next_version(before, now) == after


@given(st.dictionaries(st.text(min_size=1), st.text()), st.text())
def test_a_marker_holds_anything_and_is_one_comment(values: dict[str, str], text: str) -> None:
    readable = without_marker(text)
    whole = marked(readable, values)
    if "<!-- roundtrip" not in readable:
        assert values_of(whole) == values
    assert whole.count("-->") == readable.count("-->") + 1
