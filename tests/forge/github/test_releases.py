"""A GitHub release is whole when it is published, is made once, and is marked, not deleted, when it was taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from roundtrip.errors import ForgeError, ForgeUnavailableError
from roundtrip.forge.git import Git
from roundtrip.forge.github import releases
from roundtrip.forge.github.answers import ReleaseThere
from roundtrip.forge.github.assets import Asset
from roundtrip.forge.github.client import GitHubClient
from roundtrip.forge.github.releases import Wanted
from roundtrip.forge.github.tags import Tags
from roundtrip.forge.repository import Forge
from roundtrip.targets.bundles import file_digest
from tests.forge.github.contract import Answer, Request
from tests.forge.github.stand_in import Fault, StandIn, refusal

pytestmark = pytest.mark.integration

BAD_GATEWAY = refusal(502, "Bad Gateway")
LOST = [None, BAD_GATEWAY]
LOST_NAMES = ["connection-closed", "502"]


def nobody(_: str) -> bool:
    return False


@dataclass(frozen=True)
class Bench:
    """What publishing takes."""

    client: GitHubClient
    tags: Tags
    github: StandIn
    wanted: Wanted

    def publish(self) -> ReleaseThere:
        return releases.publish(self.client, self.tags, self.wanted, nobody)


@pytest.fixture
def bench(client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted) -> Bench:
    return Bench(client, tags, github, wanted)


@pytest.fixture
def wanted(tagged: Callable[[str], str], tmp_path: Path) -> Wanted:
    folder = tmp_path / "assets"
    folder.mkdir()
    for name in ("SHA256SUMS", "SHA256SUMS.sig", "Tiny-1.1.0.zip", "sbom.cdx.json", "sbom.spdx.json"):
        (folder / name).write_text(f"content of {name}\n")
    files = [Asset(file, file.stat().st_size, file_digest(file)) for file in sorted(folder.iterdir())]
    return Wanted("r1", "v1.1.0", tagged("v1.1.0"), "Tiny 1.1.0", "What it is.", files)


def only(github: StandIn) -> dict[str, object]:
    [release] = github.releases.values()
    return release


def holds(github: StandIn, wanted: Wanted) -> bool:
    there = {(one["name"], one["size"], one["digest"], one["state"]) for one in github.assets.values()}
    return there == {(a.name, a.size_bytes, a.digest, "uploaded") for a in wanted.assets} and len(
        github.assets
    ) == len(wanted.assets)


def test_a_release_is_published_after_its_last_asset(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    made = releases.publish(client, tags, wanted, nobody)
    assert not made.draft and not only(github)["draft"]
    assert holds(github, wanted)
    assert tags.object_of("v1.1.0") == wanted.tag_object
    writes = github.writes()
    assert writes[-1].startswith("PATCH") and len([w for w in writes if w.startswith("PATCH")]) == 1
    assert len([w for w in writes if w.endswith("/assets")]) == len(wanted.assets)


def test_published_again_nothing_is_written(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    releases.publish(client, tags, wanted, nobody)
    before = len(github.writes())
    releases.publish(client, tags, wanted, nobody)
    assert len(github.writes()) == before


@pytest.mark.parametrize("answer", LOST, ids=LOST_NAMES)
@pytest.mark.parametrize("does_it", [True, False], ids=["done", "not-done"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/releases$"), ("POST", "/assets$"), ("PATCH", "/releases/"), ("GET", "/releases$")],
    ids=["draft", "upload", "publish", "list"],
)
def test_a_lost_answer_makes_nothing_twice(
    bench: Bench, method: str, path: str, answer: Answer | None, does_it: bool
) -> None:
    bench.github.faults.append(Fault(method, path, answer, does_it))
    bench.publish()
    assert not only(bench.github)["draft"]
    assert holds(bench.github, bench.wanted)


@dataclass
class GoneAfter(Fault):
    """GitHub does the write number `writes`, and from then on answers nothing."""

    github: StandIn | None = None
    writes: int = 0

    def fits(self, request: Request) -> bool:
        assert self.github is not None
        done = len(self.github.writes())
        self.does_it = request.method != "GET" and done == self.writes
        return done >= self.writes


@pytest.mark.parametrize("writes", range(1, 8))
def test_cut_off_after_any_write_and_run_again_it_ends_the_same(bench: Bench, writes: int) -> None:
    """A draft, five assets, the publishing: seven writes."""
    bench.github.faults.append(GoneAfter("", "", None, github=bench.github, writes=writes))
    with pytest.raises(ForgeUnavailableError, match="was not answered"):
        bench.publish()
    bench.github.faults.clear()
    bench.publish()
    assert not only(bench.github)["draft"]
    assert holds(bench.github, bench.wanted)


@dataclass
class HalfDone(Fault):
    """An upload breaks off and leaves what GitHub's documentation says it may leave."""

    github: StandIn | None = None

    def fits(self, request: Request) -> bool:
        is_it = super().fits(request)
        if is_it and self.github is not None:
            self.github.put_asset(next(iter(self.github.releases)), request.query["name"], 0, None, "starter")
        return is_it


def test_an_asset_that_is_half_uploaded_is_replaced(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    github.faults.append(HalfDone("POST", "/assets$", BAD_GATEWAY, github=github))
    releases.publish(client, tags, wanted, nobody)
    assert holds(github, wanted)
    assert len([w for w in github.writes() if w.startswith("DELETE")]) == 1


def test_an_asset_with_other_content_is_replaced_before_publishing(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    github.faults.append(Fault("PATCH", "/releases/", refusal(403, "no"), times=1))
    with pytest.raises(ForgeError):
        releases.publish(client, tags, wanted, nobody)
    one = next(iter(github.assets.values()))
    one["digest"] = "sha256:" + "0" * 64
    releases.publish(client, tags, wanted, nobody)
    assert holds(github, wanted)


def test_what_is_published_is_compared_and_not_changed(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    releases.publish(client, tags, wanted, nobody)
    one = next(iter(github.assets.values()))
    one["digest"] = "sha256:" + "0" * 64
    before = len(github.writes())
    with pytest.raises(ForgeError, match=rf"{one['name']}: expected \d+ bytes, sha256:.* got .*sha256:0000"):
        releases.publish(client, tags, wanted, nobody)
    assert len(github.writes()) == before


def test_an_asset_of_somebody_else_stops_the_publishing(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    github.faults.append(Fault("PATCH", "/releases/", refusal(403, "no")))
    with pytest.raises(ForgeError):
        releases.publish(client, tags, wanted, nobody)
    github.put_asset(next(iter(github.releases)), "backdoor.zip", 1, None)
    with pytest.raises(ForgeError, match=r"backdoor\.zip: not published by this release"):
        releases.publish(client, tags, wanted, nobody)
    assert only(github)["draft"]


def test_everything_is_found_on_later_pages_too(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    github.page_size = 2
    releases.publish(client, tags, wanted, nobody)
    for number in range(5):
        Git(github.git).text("update-ref", f"refs/tags/other{number}", wanted.tag_object)
        other = {"tag_name": f"other{number}", "draft": False, "prerelease": False, "name": None}
        github.releases[900 + number] = {
            **only_ours(github),
            **other,
            "id": 900 + number,
            "body": "by hand",
        }
    before = len(github.writes())
    releases.publish(client, tags, wanted, nobody)
    assert len(github.writes()) == before
    assert holds(github, wanted)


def only_ours(github: StandIn) -> dict[str, object]:
    return next(one for one in github.releases.values() if one["tag_name"] == "v1.1.0")


def test_a_release_that_was_taken_back_is_marked_once_and_stays(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    releases.publish(client, tags, wanted, nobody)
    releases.withdraw(client, "r1", "Release `r1` of it ended ROLLED BACK.")
    release = only(github)
    assert release["name"] == "Tiny 1.1.0 (withdrawn)"
    assert (release["prerelease"], release["make_latest"], release["draft"]) == (True, "false", False)
    assert str(release["body"]).startswith("> [!CAUTION]\n> **Withdrawn")
    assert "What it is." in str(release["body"])
    assert holds(github, wanted) and tags.object_of("v1.1.0") == wanted.tag_object
    before = len(github.writes())
    releases.withdraw(client, "r1", "Release `r1` of it ended ROLLED BACK.")
    assert len(github.writes()) == before
    with pytest.raises(ForgeError, match="was withdrawn on GitHub"):
        releases.publish(client, tags, wanted, nobody)


def test_what_never_came_to_github_has_nothing_to_withdraw(client: GitHubClient, github: StandIn) -> None:
    assert releases.withdraw(client, "r1", "why") is None
    assert github.writes() == []


def test_the_same_version_released_again_has_the_first_make_way(
    bench: Bench, forge: Forge, push: Callable[..., str]
) -> None:
    github, tags, wanted = bench.github, bench.tags, bench.wanted
    bench.publish()
    forge.withdraw_tag("v1.1.0", "r1")
    push("main", "app.txt", "mended\n")
    again = forge.tag("v1.1.0", forge.head("main"), "again")
    second = Wanted("r2", "v1.1.0", again, wanted.title, wanted.text, wanted.assets[:2])
    for _ in range(2):
        made = releases.publish(bench.client, tags, second, lambda other: other == "r1")
    assert (tags.object_of("v1.1.0"), tags.object_of("withdrawn/r1/v1.1.0")) == (again, wanted.tag_object)
    first = next(one for one in github.releases.values() if one["id"] != made.id)
    assert (first["tag_name"], first["prerelease"], first["draft"]) == ("withdrawn/r1/v1.1.0", True, False)
    assert len(github.releases) == 2 and len(github.assets) == len(wanted.assets) + 2


def test_a_release_of_the_same_commit_again_keeps_the_tag(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    releases.publish(client, tags, wanted, nobody)
    second = Wanted("r2", "v1.1.0", wanted.tag_object, wanted.title, wanted.text, wanted.assets)
    releases.publish(client, tags, second, lambda other: other == "r1")
    names = {one["tag_name"] for one in github.releases.values()}
    assert names == {"v1.1.0", "withdrawn/r1/v1.1.0"}
    assert tags.object_of("v1.1.0") == tags.object_of("withdrawn/r1/v1.1.0") == wanted.tag_object


def test_a_release_that_was_not_taken_back_is_never_touched(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted
) -> None:
    releases.publish(client, tags, wanted, nobody)
    second = Wanted("r2", "v1.1.0", wanted.tag_object, wanted.title, wanted.text, wanted.assets)
    before = len(github.writes())
    with pytest.raises(ForgeError, match=r"v1\.1\.0 has a release there already, of release r1"):
        releases.publish(client, tags, second, nobody)
    only(github)["body"] = "written by hand"
    with pytest.raises(ForgeError, match="not made by Roundtrip"):
        releases.publish(client, tags, second, lambda _: True)
    assert len(github.writes()) == before


def test_a_tag_on_github_that_is_another_is_never_moved(
    client: GitHubClient, tags: Tags, github: StandIn, wanted: Wanted, tagged: Callable[[str], str]
) -> None:
    other = tagged("v9.9.9")
    tags.push("v1.1.0", other)
    with pytest.raises(ForgeError, match=rf"tag v1\.1\.0: expected {wanted.tag_object}, got {other}"):
        releases.publish(client, tags, wanted, nobody)
    assert github.releases == {} and tags.object_of("v1.1.0") == other
