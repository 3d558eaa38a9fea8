"""A release is published whole or not at all, once, and is never changed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from roundtrip.errors import ArtefactError, PromotionError
from roundtrip.release import Release
from roundtrip.sign.attesting import attest
from roundtrip.sign.publishing import publish
from roundtrip.sign.signing import sign_artefacts, tag_release
from roundtrip.verification import verify_signatures
from tests.build.platform import Platform
from tests.sign.conftest import built, signed

ASSETS = {
    f"{name}{ending}"
    for name in (
        "SHA256SUMS",
        "Tiny_Platform-1.1.0.zip",
        "sbom.cdx.json",
        "web-1.1.0.tar.gz",
        "worker-1.1.0.tar.gz",
    )
    for ending in ("", ".sig")
} | {"cosign.pub", "provenance.intoto.json", "staging.intoto.json"}


def _files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_release_is_laid_out_like_one_of_github(published: Release) -> None:
    folder = published.home.releases / "v1.1.0"
    assert {p.name for p in (folder / "assets").iterdir()} == ASSETS
    about = json.loads((folder / "release.json").read_text())
    assert (about["tag_name"], about["name"]) == ("v1.1.0", "Tiny_Platform 1.1.0")
    assert about["target_commitish"] == published.ledger.last("r1", "candidate.chosen").data["commit"]
    assert {asset["name"] for asset in about["assets"]} == ASSETS
    event = published.ledger.last("r1", "sign.published").data
    assert (event["folder"], set(event["files"])) == ("v1.1.0", ASSETS)


def test_publishing_again_changes_nothing(published: Release) -> None:
    before = _files(published.home.releases)
    events = len(published.ledger.events("r1"))
    publish(published)
    assert _files(published.home.releases) == before
    assert len(published.ledger.events("r1")) == events


def test_other_content_under_the_same_version_is_refused_and_changes_nothing(
    published: Release, platform: Platform
) -> None:
    published.ledger.append("r1", "release.outcome", {"outcome": "PROMOTED", "reason": "of the test"})
    second = built(platform, "r2", "something else")
    tag_release(second)
    sign_artefacts(second)
    attest(second)
    before = _files(published.home.releases)
    with pytest.raises(ArtefactError, match=r"v1\.1\.0 is published already, with other content"):
        publish(second)
    assert _files(published.home.releases) == before
    assert second.ledger.last("r2", "sign.published") is None


def test_a_release_that_was_taken_back_makes_way_and_stays_readable(
    published: Release, platform: Platform
) -> None:
    before = _files(published.home.releases / "v1.1.0")
    published.ledger.append("r1", "release.outcome", {"outcome": "ROLLED BACK", "reason": "of the test"})
    second = signed(built(platform, "r2", "mended"))
    assert set(verify_signatures(second, "production", "1.1.0")) == {"web", "worker"}
    assert _files(published.home.releases / "withdrawn" / "r1" / "v1.1.0") == before
    assert _files(published.home.releases / "v1.1.0") != before


def test_a_release_with_a_signature_missing_is_not_published(platform: Platform) -> None:
    release = built(platform)
    tag_release(release)
    sign_artefacts(release)
    attest(release)
    (release.folder / "artefacts" / "web-1.1.0.tar.gz.sig").unlink()
    with pytest.raises(ArtefactError, match=r"is missing at .*web-1\.1\.0\.tar\.gz\.sig"):
        publish(release)
    assert not (release.home.releases / "v1.1.0").exists()


def test_a_release_that_was_not_attested_is_not_published(platform: Platform) -> None:
    release = built(platform)
    tag_release(release)
    sign_artefacts(release)
    with pytest.raises(ArtefactError, match=r"is missing at .*provenance\.intoto\.json"):
        publish(release)
    assert not (release.home.releases / "v1.1.0").exists()


def test_the_same_artefacts_released_again_have_the_statements_of_their_own_staging(
    published: Release, platform: Platform
) -> None:
    published.ledger.append("r1", "release.outcome", {"outcome": "ROLLED BACK", "reason": "of the test"})
    second = signed(built(platform, "r2"))
    verify_signatures(second, "production", "1.1.0")
    said = second.ledger.last("r2", "sign.attested", "staging.intoto.json")
    passed = second.ledger.last("r2", "verify.passed")
    assert said and passed and passed.data["attestations"]["staging"] == said.data["digest"]
    assert (platform.home.releases / "withdrawn" / "r1" / "v1.1.0").exists()


def test_an_untagged_release_is_not_published(platform: Platform) -> None:
    release = built(platform)
    sign_artefacts(release)
    with pytest.raises(PromotionError, match="the release is not tagged"):
        publish(release)


# Files are copied, flushed and renamed; an audit hook sees each and kills the process at the one that is asked for.
_PUBLISH = """
import json, os, signal, sys
from pathlib import Path
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.sign.attesting import attest
from roundtrip.sign.publishing import publish
from roundtrip.sign.signing import sign_artefacts, tag_release
from tests.build.platform import HERE, Platform
root, at, keys = Path(sys.argv[1]), int(sys.argv[2]), json.load(sys.stdin)
platform = Platform(Home(root / "home"), root / "platform", load_plan(HERE / "plan.yaml"), keys)
release = platform.release("r1")
seen = 0
def hook(event, arguments):
    global seen
    if event in ("os.rename", "shutil.copyfile"):
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
tag_release(release)
sign_artefacts(release)
attest(release)
publish(release)
print(seen)
"""


def _publish_until(folder: Path, platform: Platform, at: int) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", _PUBLISH, str(folder), str(at)],
        input=json.dumps(platform.keys), env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_killed_at_any_file_and_run_again_it_is_published_whole(platform: Platform, tmp_path: Path) -> None:
    built(platform)
    folder = platform.home.releases / "v1.1.0"
    kills, at = 0, 1
    while (done := _publish_until(tmp_path, platform, at)).returncode == -signal.SIGKILL:
        kills += 1
        if folder.exists():
            assert {p.name for p in (folder / "assets").iterdir()} == ASSETS
        at += 3
    assert done.returncode == 0, done.stderr
    assert kills >= 4
    release = platform.release("r1")
    assert set(verify_signatures(release, "production", "1.1.0")) == {"web", "worker"}
    assert len(release.ledger.events("r1", kind="sign.published")) == 1
    assert [p.name for p in platform.home.releases.iterdir() if not p.name.endswith(".lock")] == ["v1.1.0"]
