"""Images are believed by the signed list of their digests, and are those that this release built."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from roundtrip import durable
from roundtrip.build.archive import write_checksums
from roundtrip.errors import ArtefactError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.release import Release
from roundtrip.rollout.deploying import built as built_digests
from roundtrip.toolchain import cosign
from roundtrip.verification import require_placed, verify_checksums, verify_signatures
from roundtrip.verification.published import read_images
from tests.build.platform import Platform
from tests.sign.conftest import SERVICES, built, signed

DIGESTS = {service: f"sha256:{number:064x}" for number, service in enumerate(SERVICES, 1)}
OTHER = f"sha256:{15:064x}"


@pytest.fixture(autouse=True)
def _no_cosign(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said here of images holds without what cosign keeps in a registry; see test_registry.py for that."""
    monkeypatch.setattr(cosign, "found", lambda: None)


@pytest.fixture
def released(platform: Platform) -> Release:
    return signed(built(platform, images=DIGESTS))


def _file(release: Release) -> Path:
    return release.home.releases / "v1.1.0" / "assets" / "images.json"


def _refused(release: Release, why: str) -> None:
    before = release.ledger.events(release.id, kind="verify.passed")
    with pytest.raises(ArtefactError, match=why) as raised:
        verify_signatures(release, "production", "1.1.0")
    newest = release.ledger.last(release.id, "verify.refused")
    assert newest is not None and newest.data["reason"] == str(raised.value)
    assert release.ledger.events(release.id, kind="verify.passed") == before


def test_what_is_deployed_of_images_is_what_the_signed_list_names(released: Release) -> None:
    assert verify_checksums(released, "staging") == DIGESTS
    assert verify_signatures(released, "production", "1.1.0") == DIGESTS
    assert built_digests(released, "production") == DIGESTS
    assert released.ledger.last(released.id, "verify.passed").data["files"] == DIGESTS


def test_a_flipped_bit_of_the_list_is_refused(released: Release, flip: Callable[[Path], None]) -> None:
    flip(_file(released))
    _refused(released, r"expected sha256:\w+, got sha256:\w+ at .*images\.json")


def test_a_list_that_is_gone_is_refused(released: Release) -> None:
    _file(released).unlink()
    _refused(released, r"is missing at .*images\.json")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"version": "1.0.0", "images": DIGESTS}, "is of version 1.0.0, expected 1.1.0"),
        ({"version": "1.1.0", "images": {"web": OTHER}}, "cannot be read: 'worker'"),
        ({"version": "1.1.0", "images": {**DIGESTS, "web": "latest"}}, "web: expected a sha256 digest, got 'latest'"),
        ({"version": "1.1.0", "images": {**DIGESTS, "web": OTHER + "0"}}, "web: expected a sha256 digest"),
        ([], "cannot be read: list indices"),
    ],
)  # fmt: skip
def test_what_is_no_list_of_images_is_refused_whoever_signed_it(
    tmp_path: Path, said: object, why: str
) -> None:
    durable.write_json(tmp_path / "images.json", said)
    write_checksums(tmp_path, ["images.json"])
    with pytest.raises(ArtefactError, match=rf"{why}.* at .*images\.json"):
        read_images(tmp_path, "1.1.0", SERVICES)


def test_images_that_this_release_did_not_build_are_refused_whoever_signed_them(
    platform: Platform, released: Release
) -> None:
    another = built(platform, "r2", images={**DIGESTS, "web": OTHER})
    _refused(another, f"web: expected {OTHER}, got {DIGESTS['web']}")


def test_a_release_without_images_goes_to_no_environment_of_images(platform: Platform) -> None:
    bundles = signed(built(platform))
    images = built(platform, "r2", images=DIGESTS)
    assert verify_signatures(bundles, "production", "1.1.0").keys() == DIGESTS.keys()
    with pytest.raises(
        ArtefactError, match=r"images\.json is not named in SHA256SUMS: this release has no images"
    ):
        verify_signatures(images, "production", "1.1.0")


def test_an_image_that_was_placed_and_is_not_the_signed_one_is_found(released: Release) -> None:
    def placed(digest: str) -> Deployment:
        return Deployment(placements=(Placement("web", "1.1.0", 1, digest, "c", 100),), flags={})

    require_placed(released, "production", placed(DIGESTS["web"]), "1.1.0")
    with pytest.raises(
        ArtefactError, match=rf"web 1\.1\.0: expected {DIGESTS['web']}, which is signed, got {OTHER}"
    ):
        require_placed(released, "production", placed(OTHER), "1.1.0")


def test_the_list_is_in_the_zip(released: Release) -> None:
    with zipfile.ZipFile(_file(released).with_name("Tiny_Platform-1.1.0.zip")) as made:
        [name] = [name for name in made.namelist() if name.endswith("images.json")]
        assert json.loads(made.read(name))["images"] == DIGESTS
