"""Rulesets are brought to what the plan needs, never made weaker, and believed only as they read afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from roundtrip.errors import ForgeError
from roundtrip.forge.github import rulesets
from roundtrip.forge.github.client import GitHubClient
from roundtrip.plan.environment import GitHubActor
from roundtrip.plan.model import Plan
from tests.forge.github.stand_in import Fault, StandIn, refusal

pytestmark = pytest.mark.integration
BRANCHES, TAGS = "Roundtrip: main and release branches", "Roundtrip: version tags"


def protect(client: GitHubClient, plan: Plan, actor: GitHubActor | None = None) -> dict[str, int]:
    return rulesets.protect(client, rulesets.rulesets(plan.repository, actor))


def named(github: StandIn, name: str) -> dict[str, Any]:
    [found] = [one for one in github.rulesets if one["name"] == name]
    return found


def types(ruleset: dict[str, Any]) -> set[str]:
    return {rule["type"] for rule in ruleset["rules"]}


def test_main_the_release_branch_and_version_tags_are_protected(
    client: GitHubClient, github: StandIn, plan: Plan
) -> None:
    assert set(protect(client, plan)) == {BRANCHES, TAGS}
    branches, tags = named(github, BRANCHES), named(github, TAGS)
    assert branches["conditions"]["ref_name"]["include"] == ["refs/heads/main", "refs/heads/release/v1.1.0"]
    assert types(branches) == {"deletion", "non_fast_forward", "pull_request"}
    assert tags["conditions"]["ref_name"]["include"] == ["refs/tags/v*", "refs/tags/withdrawn/**/*"]
    assert types(tags) == {"deletion", "non_fast_forward", "update"}
    assert {one["enforcement"] for one in github.rulesets} == {"active"}
    assert [one["bypass_actors"] for one in github.rulesets] == [[], []]


def test_again_nothing_is_written(client: GitHubClient, github: StandIn, plan: Plan) -> None:
    protect(client, plan)
    before = len(github.writes())
    protect(client, plan)
    assert len(github.writes()) == before


def test_only_the_actor_may_pass_and_make_a_version_tag(
    client: GitHubClient, github: StandIn, plan: Plan
) -> None:
    protect(client, plan)
    named(github, TAGS)["bypass_actors"] = [
        {"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "always"}
    ]
    protect(client, plan, GitHubActor(kind="User", id=7))
    tags = named(github, TAGS)
    assert tags["bypass_actors"] == [{"actor_id": 7, "actor_type": "User", "bypass_mode": "always"}]
    assert "creation" in types(tags)


@pytest.mark.parametrize(
    "weaker",
    [
        {"enforcement": "disabled"},
        {"enforcement": "evaluate"},
        {"rules": [{"type": "deletion"}]},
        {"conditions": {"ref_name": {"include": ["refs/heads/other"], "exclude": []}}},
        {"conditions": {"ref_name": {"include": ["refs/heads/main"], "exclude": ["refs/heads/main"]}}},
    ],
    ids=["off", "only-tried", "rules-gone", "other-branch", "left-out"],
)
def test_what_somebody_made_weaker_is_put_right(
    client: GitHubClient, github: StandIn, plan: Plan, weaker: dict[str, Any]
) -> None:
    protect(client, plan)
    named(github, BRANCHES).update(weaker)
    protect(client, plan)
    branches = named(github, BRANCHES)
    assert branches["enforcement"] == "active"
    assert types(branches) == {"deletion", "non_fast_forward", "pull_request"}
    assert {"refs/heads/main", "refs/heads/release/v1.1.0"} <= set(
        branches["conditions"]["ref_name"]["include"]
    )
    assert branches["conditions"]["ref_name"]["exclude"] == []


def test_what_somebody_made_stricter_stays(client: GitHubClient, github: StandIn, plan: Plan) -> None:
    protect(client, plan)
    branches = named(github, BRANCHES)
    [by_pull_request] = [rule for rule in branches["rules"] if rule["type"] == "pull_request"]
    by_pull_request["parameters"]["required_approving_review_count"] = 2
    branches["rules"] = [*branches["rules"], {"type": "required_signatures"}]
    branches["rules"].remove({"type": "deletion"})
    protect(client, plan)
    after = named(github, BRANCHES)
    assert types(after) == {"deletion", "non_fast_forward", "pull_request", "required_signatures"}
    [kept] = [rule for rule in after["rules"] if rule["type"] == "pull_request"]
    assert kept["parameters"]["required_approving_review_count"] == 2


def test_the_branch_of_an_earlier_release_stays_protected(
    client: GitHubClient, github: StandIn, plan: Plan
) -> None:
    protect(client, plan)
    later = plan.repository.model_copy(update={"release_branch": "release/v1.2.0"})
    rulesets.protect(client, rulesets.rulesets(later, None))
    heads = named(github, BRANCHES)["conditions"]["ref_name"]["include"]
    assert heads == ["refs/heads/main", "refs/heads/release/v1.1.0", "refs/heads/release/v1.2.0"]


def test_a_rule_that_is_not_there_afterwards_is_an_error(
    client: GitHubClient, github: StandIn, plan: Plan
) -> None:
    github.forbids.add("pull_request")
    with pytest.raises(ForgeError, match="reads: rule pull_request is missing or weaker"):
        protect(client, plan)


@pytest.mark.parametrize("does_it", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("answer", [None, refusal(502, "Bad Gateway")], ids=["connection-closed", "502"])
def test_a_lost_answer_makes_nothing_twice(
    client: GitHubClient, github: StandIn, plan: Plan, answer: Any, does_it: bool
) -> None:
    github.faults.append(Fault("POST", "/rulesets$", answer, does_it))
    protect(client, plan)
    assert sorted(one["name"] for one in github.rulesets) == [BRANCHES, TAGS]
