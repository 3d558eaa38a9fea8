"""The stand-in would say so: requests and answers that GitHub does not describe are found, each of these kinds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from roundtrip.forge.git import Git
from tests.forge.github.contract import Answer, Request
from tests.forge.github.stand_in import NAME, OWNER, TOKEN, StandIn, serve

pytestmark = pytest.mark.integration
AT = f"/repos/{OWNER}/{NAME}"


@pytest.fixture
def bent(described: dict[str, Any], tmp_path: Path):
    """A stand-in that may be spoken to wrongly."""
    Git(tmp_path).text("init", "--quiet", "--bare")
    with serve(described, tmp_path) as stand_in:
        yield stand_in


def say(stand_in: StandIn, method: str, target: str, body: Any = None) -> Answer | None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    content = b"" if body is None else json.dumps(body).encode()
    return stand_in.answer(Request(method, f"{AT}{target}", headers, content))


@pytest.mark.parametrize(
    ("method", "target", "body", "says"),
    [
        ("POST", "/releases", {"name": "no tag"}, "'tag_name' is a required property"),
        ("POST", "/releases", {"tag_name": 7, "draft": True}, "7 is not of type 'string'"),
        ("POST", "/releases", {"tag_name": "v1", "drafft": True}, r"not described: \['drafft'\]"),
        ("POST", "/releases", {"tag_name": "v1"}, "published before its assets were there"),
        ("GET", "/issues?stat=all", None, r"not described: \['stat'\]"),
        ("GET", "/issues?state=gone", None, "'gone' is not one of"),
        ("GET", "/issues?since=yesterday", None, "'yesterday' is not a 'date-time'"),
        ("POST", "/deployments/1/statuses", {"state": "done"}, "'done' is not one of"),
        ("GET", "/pulls", None, "no such route"),
    ],
)
def test_a_request_that_is_not_as_described_is_found(
    bent: StandIn, method: str, target: str, body: Any, says: str
) -> None:
    say(bent, method, target, body)
    [found] = bent.broken
    assert re.search(says, found), found


@pytest.mark.parametrize(
    ("content", "says"),
    [([{"id": 1}], "is a required property"), ({"message": "no list"}, "is not of type 'array'")],
)
def test_an_answer_that_is_not_as_described_is_found(bent: StandIn, content: Any, says: str) -> None:
    bent.list_milestones = lambda request: Answer(200, content)  # type: ignore[method-assign]
    say(bent, "GET", "/milestones")
    [found] = bent.broken
    assert says in found


def test_what_is_as_described_is_not_found(bent: StandIn) -> None:
    say(bent, "POST", "/milestones", {"title": "v1.2.0"})
    answer = say(bent, "GET", "/milestones?state=all&per_page=100")
    assert bent.broken == []
    assert answer is not None and [one["title"] for one in answer.content] == ["v1.2.0"]
