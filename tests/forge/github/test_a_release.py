"""A release and GitHub, from its tag to its end: what the sections do there, and that nothing of the way back waits for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import html5lib
import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from roundtrip.closing import close
from roundtrip.errors import ForgeError, PromotionError, SecretError, StaleTokenError
from roundtrip.forge.backlog import BacklogItem
from roundtrip.forge.git import Git
from roundtrip.plan.environment import GitHubRepository
from roundtrip.release import Release
from roundtrip.rollout import on_github
from roundtrip.sign.publishing import publish
from roundtrip.toolchain.folders import locked
from tests.build.platform import Platform, make_platform
from tests.forge.github.stand_in import TOKEN, Fault, StandIn
from tests.sign.conftest import built, signed

pytestmark = pytest.mark.integration

BRANCHES = "Roundtrip: main and release branches"


@dataclass
class World:
    """A platform, GitHub, and the token in the connection."""

    platform: Platform
    github: StandIn
    settings: GitHubRepository
    token: str = TOKEN

    def release(self, name: str = "r1", text: str = "works", *, drill: bool = False) -> Release:
        """Built and staged, with everything of the sign section but the publishing still to do."""
        made = built(self.platform, name, text)
        production = made.environments["production"].model_copy(update={"github": self.settings})
        made.ledger.append_once(name, "release.started", "started", {"drill": drill})
        made.ledger.append_once(name, "deployed", "tiny_staging", {})
        return replace(
            made,
            environments={**made.environments, "production": production},
            secrets=lambda connection: (
                {"token": self.token} if connection == "github" else self.platform.keys
            ),
        )

    def gone(self) -> None:
        """GitHub closes every connection."""
        self.github.faults += [Fault(m, "", None, times=10**6) for m in ("GET", "POST", "PATCH", "PUT")]

    def settle(self, release: Release, kind: str) -> None:
        """Until an event of this kind is there."""
        again = Retrying(
            stop=stop_after_delay(30), wait=wait_fixed(0.05), retry=retry_if_result(lambda e: e is None)
        )
        again(lambda: release.ledger.last(release.id, kind))

    def back(self) -> None:
        self.github.faults.clear()


@pytest.fixture
def world(tmp_path: Path, github: StandIn, settings: GitHubRepository) -> World:
    platform = make_platform(tmp_path)
    platform.lay()
    return World(platform, github, settings)


def take_back(release: Release) -> None:
    """What a rollback leaves in the ledger."""
    release.ledger.append_once(release.id, "deployed", "tiny_production", {})
    release.ledger.append_once(release.id, "rollback.begun", "rollback", {"why": "a gate failed"})
    for environment in ("tiny_staging", "tiny_production"):
        release.ledger.append_once(release.id, "rollback.verified", environment, {})


def end(release: Release) -> str:
    """The last step of a release that was not promoted; what it ends with."""
    with pytest.raises(PromotionError) as ended:
        close(release)
    return ended.value.what


def kinds(release: Release) -> list[str]:
    return [event.kind for event in release.ledger.events(release.id) if event.kind.startswith("github.")]


def newest(github: StandIn) -> dict[str, Any]:
    return github.releases[max(github.releases)]


def test_what_is_published_here_is_published_there(world: World) -> None:
    release = signed(world.release())
    folder = release.home.releases / "v1.1.0" / "assets"
    assert {one["name"]: one["size"] for one in world.github.assets.values()} == {
        file.name: file.stat().st_size for file in folder.iterdir()
    }
    there = newest(world.github)
    assert (there["tag_name"], there["name"], there["draft"]) == ("v1.1.0", "Tiny_Platform 1.1.0", False)
    tagged = release.ledger.last("r1", "sign.tagged").data
    assert Git(world.github.git).text("rev-parse", "refs/tags/v1.1.0") == tagged["object"]
    assert kinds(release) == ["github.begun", "github.published", "github.shown"]
    assert release.ledger.last("r1", "github.shown").data["deployments"] == {
        "tiny_staging": ["in_progress", "success"]
    }
    assert [(s["context"], s["state"]) for s in world.github.statuses[tagged["commit"]]] == [
        ("roundtrip/staging.canary", "success")
    ]


def test_published_again_nothing_changes_there_or_in_the_ledger(world: World) -> None:
    release = signed(world.release())
    writes, events = len(world.github.writes()), len(release.ledger.events("r1"))
    publish(release)
    assert (len(world.github.writes()), len(release.ledger.events("r1"))) == (writes, events)


def test_without_a_repository_nothing_goes_anywhere(world: World) -> None:
    release = signed(built(world.platform))
    take_back(release)
    end(release)
    assert kinds(release) == [] and world.github.requests == []


def test_a_drill_never_goes_there(world: World) -> None:
    release = world.release(drill=True)
    on_github.protect(release)
    on_github.publish(release)
    on_github.show(release)
    assert kinds(release) == [] and world.github.requests == []


def test_a_token_that_has_expired_stops_the_publishing_and_the_next_try_goes_on(world: World) -> None:
    world.token = "expired"
    with pytest.raises(ForgeError, match="token of connection 'github' is not accepted"):
        signed(release := world.release())
    assert (release.home.releases / "v1.1.0").is_dir()
    world.token = ""
    with pytest.raises(SecretError, match="its extra holds no 'token' at github"):
        publish(release)
    world.token = TOKEN
    publish(release)
    assert not newest(world.github)["draft"]


def test_once_the_release_only_goes_back_nothing_new_goes_there(world: World) -> None:
    release = signed(replace(world.release(), environments=built(world.platform, "other").environments))
    release = replace(release, environments=world.release().environments)
    take_back(release)
    with pytest.raises(StaleTokenError, match=r"github\.begun: refused, rollback\.begun is in the ledger"):
        publish(release)
    assert world.github.requests == []


def test_a_publishing_that_had_begun_does_not_go_on_once_the_release_goes_back(world: World) -> None:
    world.token = "expired"
    with pytest.raises(ForgeError):
        signed(release := world.release())
    world.token = TOKEN
    take_back(release)
    with pytest.raises(StaleTokenError, match="publishing on GitHub: refused"):
        publish(release)
    assert world.github.releases == {}


def test_two_tasks_are_not_there_at_once(world: World) -> None:
    release = world.release()
    with locked(release.folder / on_github.LOCK):
        began = threading.Thread(target=lambda: signed(release))
        began.start()
        world.settle(release, "github.begun")
        assert world.github.writes() == []
    began.join(60)
    publish(release)
    assert len(world.github.releases) == 1


def test_githubkit_is_imported_only_where_an_environment_asks_for_it() -> None:
    code = "import sys, roundtrip.closing, roundtrip.sign.publishing, roundtrip.production.rollout; print('githubkit' in sys.modules)"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_release_that_was_taken_back_says_so_on_github(world: World) -> None:
    release = signed(world.release())
    take_back(release)
    assert end(release).startswith("ROLLED BACK")
    there = newest(world.github)
    assert (there["name"], there["prerelease"]) == ("Tiny_Platform 1.1.0 (withdrawn)", True)
    assert "Release `r1` of it ended ROLLED BACK." in there["body"]
    states = {
        d["environment"]: [s["state"] for s in world.github.states[d["id"]]] for d in world.github.deployments
    }
    assert states == {
        "tiny_staging": ["in_progress", "success", "failure", "inactive"],
        "tiny_production": ["in_progress", "failure", "inactive"],
    }
    page = release.home.dossier("r1").read_text()
    html5lib.HTMLParser(strict=True).parse(page)
    assert 'id="github"' in page and "Marked as withdrawn on GitHub" in page


def test_github_being_gone_holds_up_nothing_and_is_made_up_for_later(world: World) -> None:
    release = signed(world.release())
    take_back(release)
    world.gone()
    assert end(release).startswith("ROLLED BACK")
    failed = [e.data for e in release.ledger.events("r1", kind="github.failed")]
    assert [one["what"] for one in failed] == ["withdrawn", "shown"]
    assert all("was not answered" in one["error"] and TOKEN not in json.dumps(one) for one in failed)
    told = (release.home.root / "notifications.jsonl").read_text()
    assert told.count("GitHub does not show what became of Tiny_Platform 1.1.0") == 2
    assert "GitHub did not take: withdrawn" in release.home.dossier("r1").read_text()
    world.back()
    assert end(release).startswith("ROLLED BACK")
    assert newest(world.github)["prerelease"]
    assert kinds(release)[-2:] == ["github.withdrawn", "github.shown"]


def test_a_client_that_cannot_be_imported_holds_up_nothing_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = signed(world.release())
    take_back(release)
    monkeypatch.setitem(sys.modules, "roundtrip.forge.github.client", None)
    assert end(release).startswith("ROLLED BACK")
    assert kinds(release)[-2:] == ["github.failed", "github.failed"]
    assert release.home.dossier("r1").is_file()


def test_the_version_released_again_makes_the_first_make_way(world: World) -> None:
    first = signed(world.release())
    take_back(first)
    end(first)
    second = signed(world.release("r2", "mended"))
    names = {one["tag_name"]: one["prerelease"] for one in world.github.releases.values()}
    assert names == {"withdrawn/r1/v1.1.0": True, "v1.1.0": False}
    assert second.ledger.last("r2", "github.published").data["tag"] == "v1.1.0"


def test_the_backlog_goes_there_too_and_what_fails_is_made_up_for(world: World) -> None:
    release = world.release()
    items = [BacklogItem("r1/lint/1", "lint: one", "Where: `here`"), BacklogItem("r1/lint/2", "two", "x")]
    world.token = "expired"
    on_github.add_backlog(release, items)
    assert kinds(release) == ["github.failed"]
    world.token = TOKEN
    for _ in range(2):
        on_github.add_backlog(release, items)
    assert [issue["title"] for issue in world.github.issues] == ["lint: one", "two"]
    assert kinds(release) == ["github.failed", "github.backlog"]
    data = release.ledger.last("r1", "github.backlog").data
    assert (data["milestone"], data["issues"]) == ("v1.2.0", {"r1/lint/1": 1, "r1/lint/2": 2})


def test_branches_and_tags_are_protected_and_it_is_in_the_ledger(world: World) -> None:
    release = world.release()
    assert BRANCHES in on_github.protect(release)
    on_github.protect(release)
    assert len(world.github.writes()) == 2
    assert set(release.ledger.last("r1", "github.protected").data["rulesets"]) == {
        one["name"] for one in world.github.rulesets
    }


def test_no_token_is_in_the_ledger_or_in_what_people_are_told(world: World, capfd: Callable[[], Any]) -> None:
    release = signed(world.release())
    take_back(release)
    world.gone()
    end(release)
    assert not [e for e in release.ledger.events("r1") if TOKEN in json.dumps(dict(e.data))]
    assert TOKEN not in (release.home.root / "notifications.jsonl").read_text()
