"""Deployments and statuses are a view of the ledger: whenever it is asked for, the same ones, each once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from roundtrip.forge.github import showing
from roundtrip.forge.github.client import GitHubClient
from roundtrip.forge.github.showing import Deployment, GateStatus
from roundtrip.forge.github.tags import Tags
from roundtrip.forge.repository import Forge
from roundtrip.ledger.ledger import Event
from tests.forge.github.contract import Answer
from tests.forge.github.stand_in import Fault, StandIn, refusal

NAMES = {"staging": "tiny_staging", "production": "tiny_production"}
GATES = [
    GateStatus("roundtrip/staging.canary", "success", "PASS, in release r1"),
    GateStatus("roundtrip/production.wave_1", "pending", "judging, in release r1"),
]


def events(*told: tuple[str, str, dict[str, Any]]) -> list[Event]:
    at = datetime(2026, 5, 1, tzinfo=UTC)
    return [
        Event(
            seq=number,
            at=at,
            release="r1",
            kind=kind,
            key=key,
            actor="roundtrip",
            data=data,
            previous="",
            hash="",
        )
        for number, (kind, key, data) in enumerate(told, 1)
    ]


BEGUN = [("deployed", "tiny_production", {})]
BACK = [*BEGUN, ("rollback.begun", "rollback", {})]


@pytest.mark.parametrize(
    ("told", "states"),
    [
        (BEGUN, ["in_progress"]),
        ([*BEGUN, ("promoted", "tiny_production", {})], ["in_progress", "success"]),
        (BACK, ["in_progress", "failure"]),
        ([*BACK, ("rollback.verified", "tiny_production", {})], ["in_progress", "failure", "inactive"]),
        ([*BACK, ("rollback.verified", "tiny_staging", {})], ["in_progress", "failure"]),
        ([*BACK, ("release.outcome", "", {"outcome": "BROKEN"})], ["in_progress", "failure", "error"]),
        ([*BEGUN, ("sign.tagged", "v1.1.0", {})], ["in_progress"]),
    ],
)
def test_the_states_of_an_environment_are_what_happened_to_it(
    told: Sequence[tuple[str, str, dict[str, Any]]], states: list[str]
) -> None:
    assert showing.deployments(events(*told), NAMES) == [Deployment("tiny_production", True, tuple(states))]


def test_staging_has_succeeded_when_the_release_was_tagged() -> None:
    told = events(("deployed", "tiny_staging", {}), ("sign.tagged", "v1.1.0", {}))
    assert showing.deployments(told, NAMES) == [Deployment("tiny_staging", False, ("in_progress", "success"))]


@pytest.mark.parametrize(
    ("verdict", "state"),
    [("PASS", "success"), ("FAIL", "failure"), ("INCONCLUSIVE", "error"), ("?", "error")],
)
def test_a_gates_last_word_is_its_status_and_nothing_but_pass_is_success(verdict: str, state: str) -> None:
    told = events(
        ("gate.started", "production.wave_1", {}),
        ("gate.verdict", "production.wave_1", {"verdict": verdict, "reason": "what a client sent"}),
    )
    [status] = showing.gate_statuses(told, "r1")
    assert (status.context, status.state) == ("roundtrip/production.wave_1", state)
    assert "client" not in status.description


def test_a_gate_that_has_begun_is_pending() -> None:
    [status] = showing.gate_statuses(events(("gate.started", "production.wave_1", {})), "r1")
    assert status.state == "pending"


@pytest.fixture
def commit(tagged: Callable[[str], str], tags: Tags, forge: Forge) -> str:
    tags.push("v1.1.0", tagged("v1.1.0"))
    return forge.head("main")


def told_states(github: StandIn) -> dict[str, list[str]]:
    return {one["environment"]: [s["state"] for s in github.states[one["id"]]] for one in github.deployments}


@pytest.mark.integration
def test_it_is_shown_step_by_step_and_nothing_twice(
    client: GitHubClient, github: StandIn, commit: str
) -> None:
    states = ("in_progress", "failure", "inactive")
    for number in (1, 1, 3, 3):
        showing.show(client, "r1", commit, [Deployment("tiny_production", True, states[:number])], GATES)
    assert told_states(github) == {"tiny_production": list(states)}
    assert [one["context"] for one in github.statuses[commit]] == [gate.context for gate in GATES]
    [deployment] = github.deployments
    assert (deployment["production_environment"], deployment["payload"]) == (True, {"roundtrip": "r1"})


@pytest.mark.integration
def test_another_release_of_the_commit_has_a_deployment_of_its_own(
    client: GitHubClient, github: StandIn, commit: str
) -> None:
    wanted = [Deployment("tiny_production", True, ("in_progress",))]
    for release in ("r1", "r2", "r1"):
        showing.show(client, release, commit, wanted, [])
    assert [one["payload"]["roundtrip"] for one in github.deployments] == ["r1", "r2"]


@pytest.mark.integration
def test_a_payload_that_is_told_as_text_is_ours_too(
    client: GitHubClient, github: StandIn, commit: str
) -> None:
    wanted = [Deployment("tiny_production", True, ("in_progress",))]
    showing.show(client, "r1", commit, wanted, [])
    github.deployments[0]["payload"] = '{"roundtrip":"r1"}'
    showing.show(client, "r1", commit, wanted, [])
    assert len(github.deployments) == 1


@pytest.mark.integration
def test_a_gate_that_speaks_again_has_its_new_word_last(
    client: GitHubClient, github: StandIn, commit: str
) -> None:
    github.page_size = 1
    last = GateStatus(GATES[1].context, "failure", "FAIL, in release r1")
    for gates in (GATES, [GATES[0], last], [GATES[0], last]):
        showing.show(client, "r1", commit, [], gates)
    assert [one["state"] for one in github.statuses[commit]] == ["success", "pending", "failure"]


@pytest.mark.integration
@pytest.mark.parametrize("does_it", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize("answer", [None, refusal(502, "Bad Gateway")], ids=["connection-closed", "502"])
def test_lost_answers_make_nothing_twice(
    client: GitHubClient, github: StandIn, commit: str, answer: Answer | None, does_it: bool
) -> None:
    paths = ("/deployments$", r"/deployments/\d+/statuses$", "/statuses/")
    github.faults += [Fault("POST", path, answer, does_it) for path in paths]
    wanted = [Deployment("tiny_production", True, ("in_progress", "success"))]
    showing.show(client, "r1", commit, wanted, GATES)
    assert told_states(github) == {"tiny_production": ["in_progress", "success"]}
    assert len(github.statuses[commit]) == len(GATES)
