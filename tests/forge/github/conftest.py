"""The stand-in for GitHub, empty for each test, and a bare repository that a release was tagged in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from roundtrip.forge.git import Git
from roundtrip.forge.github.client import GitHubClient, Patience, open_client
from roundtrip.forge.github.tags import Tags, open_tags
from roundtrip.forge.repository import Forge
from roundtrip.plan.environment import GitHubRepository
from tests.forge.github.description import description
from tests.forge.github.stand_in import NAME, OWNER, TOKEN, StandIn, serve

AT_ONCE = Patience(attempts=4, pause_seconds=0.001, longest_wait_seconds=2, request_seconds=10)


@pytest.fixture(scope="session")
def described(pytestconfig: pytest.Config) -> dict[str, Any]:
    cache = pytestconfig.cache
    assert cache is not None
    return description(cache.mkdir("github-description"))


@pytest.fixture
def github(described: dict[str, Any], tmp_path: Path) -> Iterator[StandIn]:
    """Fails the test at its end when a request or an answer was not as GitHub describes it."""
    hosted = tmp_path / "hosted.git"
    hosted.mkdir()
    Git(hosted).text("init", "--quiet", "--bare")
    with serve(described, hosted) as stand_in:
        yield stand_in
    assert stand_in.broken == []


@pytest.fixture
def settings(github: StandIn) -> GitHubRepository:
    return GitHubRepository(
        repository=f"{OWNER}/{NAME}", connection="github", api=github.address, git=str(github.git)
    )


@pytest.fixture
def client(settings: GitHubRepository) -> GitHubClient:
    return open_client(settings, TOKEN, AT_ONCE)


@pytest.fixture
def tagged(forge: Forge) -> Callable[[str], str]:
    """Tag main in the bare repository of the release; the tag's object."""
    return lambda tag: forge.tag(tag, forge.head("main"), f"the test's {tag}")


@pytest.fixture
def tags(settings: GitHubRepository, forge: Forge) -> Tags:
    return open_tags(settings, Git(forge.remote), TOKEN)
