"""The stand-in for GitHub, empty for each test, and a bare repository that a release was tagged in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from roundtrip.forge.git import Git
from roundtrip.forge.github.client import GitHubClient, open_client
from roundtrip.forge.github.patience import Patience
from roundtrip.forge.github.tags import Tags, open_tags
from roundtrip.forge.laying import lay_platform
from roundtrip.forge.repository import Forge
from roundtrip.plan.environment import GitHubRepository
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from tests.forge.conftest import PLAN
from tests.forge.github.description import description
from tests.forge.github.stand_in import NAME, OWNER, TOKEN, StandIn, serve

AT_ONCE = Patience(
    attempts=4, pause_seconds=0.001, longest_wait_seconds=2, request_seconds=10, all_seconds=300
)


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


@pytest.fixture(scope="session")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform in a bare repository, laid once; each test has a copy."""
    folder = tmp_path_factory.mktemp("laid")
    for place, text in (("base", "one\n"), ("upgrade-1.1.0", "two\n")):
        (folder / "platform" / place).mkdir(parents=True)
        (folder / "platform" / place / "app.txt").write_text(text)
    lay_platform(folder / "remote.git", load_plan(PLAN), source=folder / "platform")
    return folder / "remote.git"


@pytest.fixture
def forge(laid: Path, plan: Plan, tmp_path: Path) -> Forge:
    remote = tmp_path / "home" / "platform" / "remote.git"
    shutil.copytree(laid, remote)
    return Forge(remote, plan.repository)


@pytest.fixture
def tagged(forge: Forge) -> Callable[[str], str]:
    """Tag main in the bare repository of the release; the tag's object."""
    return lambda tag: forge.tag(tag, forge.head("main"), f"the test's {tag}")


@pytest.fixture
def tags(settings: GitHubRepository, forge: Forge) -> Tags:
    return open_tags(settings, Git(forge.remote), TOKEN)
