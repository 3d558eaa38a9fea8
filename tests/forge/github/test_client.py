"""GitHub is waited for as long as was said and no longer; what it refuses is told in words that help, without the token."""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from roundtrip.errors import ForgeError, ForgeUnavailableError
from roundtrip.forge.backlog import BacklogItem
from roundtrip.forge.git import Git
from roundtrip.forge.github import backlog
from roundtrip.forge.github.answers import ReleaseThere
from roundtrip.forge.github.client import GitHubClient, open_client
from roundtrip.forge.github.patience import BRIEF
from roundtrip.forge.github.tags import open_tags
from roundtrip.plan.environment import GitHubRepository
from tests.forge.github.conftest import AT_ONCE
from tests.forge.github.contract import Answer
from tests.forge.github.stand_in import TOKEN, Fault, StandIn, refusal
from tests.forge.github.test_backlog import since

pytestmark = pytest.mark.integration


def limited(status: int, **headers: str) -> Answer:
    return refusal(
        status, "API rate limit exceeded", {name.replace("_", "-"): value for name, value in headers.items()}
    )


def primary(status: int, seconds: float) -> Answer:
    return limited(status, x_ratelimit_remaining="0", x_ratelimit_reset=str(int(time.time() + seconds)))


def one_issue(client: GitHubClient) -> dict[str, int]:
    return backlog.add(client, [BacklogItem("r1/a", "a", "a")], "v1.2.0", since())


@pytest.mark.parametrize(
    "answer",
    [primary(403, 0), primary(429, 0), limited(403, retry_after="0"), limited(429, retry_after="1")],
    ids=["primary-403", "primary-429", "secondary-403", "secondary-429"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_rate_limit_is_waited_for_and_what_was_asked_is_done_once(
    client: GitHubClient, github: StandIn, answer: Answer, method: str
) -> None:
    github.faults.append(Fault(method, "/issues$", answer))
    assert one_issue(client) == {"r1/a": 1}
    assert len(github.issues) == 1


@pytest.mark.parametrize(
    "limit",
    [lambda: primary(403, 3600), lambda: limited(429, retry_after="3600")],
    ids=["primary", "secondary"],
)
def test_a_limit_that_lasts_longer_than_our_patience_is_told_at_once_with_how_long(
    client: GitHubClient, github: StandIn, limit: Callable[[], Answer]
) -> None:
    github.faults.append(
        Fault("GET", "/issues$", limit(), times=9)
    )  # counted from now, not from the tests' collection
    with pytest.raises(ForgeUnavailableError, match=r"used up for another 3[56]\d\d s .*run the task again"):
        one_issue(client)
    assert len(github.requests) == 1


@pytest.mark.parametrize("times", [3, 4])
def test_a_server_error_is_asked_again_a_bounded_number_of_times(
    client: GitHubClient, github: StandIn, times: int
) -> None:
    github.faults.append(Fault("GET", "/issues$", refusal(503, "Service unavailable"), times=times))
    if times < AT_ONCE.attempts:
        assert one_issue(client) == {"r1/a": 1}
        return
    with pytest.raises(ForgeUnavailableError, match="GET was not answered: 503") as caught:
        one_issue(client)
    assert caught.value.retriable
    assert len(github.requests) == AT_ONCE.attempts


def test_a_token_that_is_not_accepted_ends_it_at_once_and_names_the_connection(
    settings: GitHubRepository, github: StandIn
) -> None:
    client = open_client(settings, "github_pat_expired", AT_ONCE)
    with pytest.raises(ForgeError, match=r"token of connection 'github' is not accepted \(401\)") as caught:
        one_issue(client)
    assert not caught.value.retriable
    assert "put it into the connection's extra as 'token'" in caught.value.remedy
    assert len(github.requests) == 1


def test_a_permission_that_is_missing_is_named_as_github_names_it(
    client: GitHubClient, github: StandIn
) -> None:
    headers = {"X-Accepted-GitHub-Permissions": "issues=write"}
    github.faults.append(
        Fault("POST", "/issues$", refusal(403, "Resource not accessible by personal access token", headers))
    )
    with pytest.raises(ForgeError, match=r"refused \(403\): Resource not accessible") as caught:
        one_issue(client)
    assert "'github' needs issues: write" in caught.value.remedy
    assert not caught.value.retriable


def test_a_repository_that_is_not_there_is_an_error_that_says_so(
    settings: GitHubRepository, github: StandIn
) -> None:
    client = replace(open_client(settings, TOKEN, AT_ONCE), name="elsewhere")
    with pytest.raises(ForgeError, match=r"refused \(404\): Not Found") as caught:
        one_issue(client)
    assert "or the repository is not there" in caught.value.remedy
    github.broken.clear()  # that there is no such route is what this test is about


def test_a_repository_that_has_moved_is_not_followed(client: GitHubClient, github: StandIn) -> None:
    moved = replace(
        refusal(301, "Moved Permanently"), headers={"Location": f"{github.address}/repositories/1"}
    )
    github.faults.append(Fault("GET", "/issues$", moved))
    with pytest.raises(ForgeError, match="301: it was renamed or moved"):
        one_issue(client)
    assert len(github.requests) == 1


@pytest.mark.parametrize("content", [{"message": "log in first"}, [{"id": "seven"}], [1]])
def test_an_answer_of_something_else_is_not_believed(
    client: GitHubClient, github: StandIn, content: object
) -> None:
    github.faults.append(Fault("GET", "/releases$", Answer(200, content)))
    with pytest.raises(ForgeUnavailableError, match="the answer is not understood"):
        client.all(ReleaseThere, client.rest.repos.list_releases)
    github.broken.clear()  # it is this test's own answer that is not as described


def test_nobody_there_is_told_after_one_try_where_somebody_waits(
    settings: GitHubRepository, github: StandIn
) -> None:
    github.faults.append(Fault("GET", "", None, times=99))
    with pytest.raises(ForgeUnavailableError, match="GET was not answered"):
        one_issue(open_client(settings, TOKEN, BRIEF))
    assert len(github.requests) == 1


def test_a_server_that_takes_the_question_and_never_answers_is_left(settings: GitHubRepository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = open_client(
            settings.model_copy(update={"api": api}), TOKEN, replace(BRIEF, request_seconds=0.2)
        )
        with pytest.raises(ForgeUnavailableError, match="GET was not answered: ReadTimeout"):
            one_issue(client)


def test_all_of_it_has_an_end_however_slowly_github_answers(
    settings: GitHubRepository, github: StandIn
) -> None:
    seconds = iter(range(0, 1000, 6))
    client = open_client(settings, TOKEN, BRIEF, clock=lambda: next(seconds))
    with pytest.raises(ForgeUnavailableError, match=r"took longer than 20 s in all .*goes on where it was"):
        one_issue(client)
    assert 0 < len(github.requests) < 4


def test_git_sends_the_token_to_that_address_and_to_no_other(github: StandIn) -> None:
    settings = GitHubRepository(repository="top-tier/trading", connection="github")
    tags = open_tags(settings, Git(github.git), TOKEN)
    asked = ("config", "--get-urlmatch", "http.extraHeader")
    git = Git(github.git).with_env(**tags.env)
    scheme, login = git.text(*asked, tags.address).removeprefix("Authorization: ").split()
    assert (scheme, base64.b64decode(login).decode()) == ("Basic", f"x-access-token:{TOKEN}")
    for other in ("https://github.com/somebody/else.git", "https://github.example/top-tier/trading.git"):
        assert git.attempt(*asked, other).stdout == b""


def test_the_token_is_in_no_error_and_in_no_argument(settings: GitHubRepository, github: StandIn) -> None:
    client = open_client(settings, TOKEN, AT_ONCE)
    github.faults.append(Fault("GET", "", refusal(500, "no"), times=99))
    with pytest.raises(ForgeError) as caught:
        one_issue(client)
    tags = open_tags(settings.model_copy(update={"git": None}), Git(github.git), TOKEN)
    shown = [str(caught.value), repr(caught.value), repr(caught.value.__cause__), repr(client), repr(tags)]
    assert not [text for text in shown if TOKEN in text]


@pytest.mark.parametrize(
    ("api", "address"),
    [
        ("https://api.github.com", "https://github.com/top-tier/trading.git"),
        ("https://github.corp.example/api/v3", "https://github.corp.example/top-tier/trading.git"),
    ],
)
def test_git_is_pushed_to_the_same_host_and_the_token_goes_there_alone(
    github: StandIn, api: str, address: str
) -> None:
    settings = GitHubRepository(repository="top-tier/trading", connection="github", api=api)
    tags = open_tags(settings, Git(github.git), TOKEN)
    assert tags.address == address
    assert tags.env["GIT_CONFIG_KEY_0"] == f"http.{address}.extraHeader"
