"""A published release is believed only as it was published: every way to bend it is refused, with file and reason."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.build.archive import write_checksums
from roundtrip.errors import ArtefactError, SecretError
from roundtrip.release import Release
from roundtrip.sign.attesting import Build, attest_build
from roundtrip.sign.keys import new_keys, signing_key
from roundtrip.sign.publishing import publish_folder
from roundtrip.sign.signing import sign_folder, signature_of
from roundtrip.targets.bundles import BundleStore, Manifest, file_digest, pack
from roundtrip.verification import verify_signatures
from roundtrip.verification.published import load_public_key, verify_release
from tests.build.platform import Platform
from tests.sign.conftest import SERVICES, built, make_artefacts, signed


def _folder(release: Release) -> Path:
    return release.home.releases / "v1.1.0"


def _assets(release: Release) -> Path:
    return _folder(release) / "assets"


def _refused(release: Release, message: str) -> None:
    """Refused with this reason, which is in the ledger; nothing on disk was changed by looking."""
    before = {p: p.read_bytes() for p in release.home.releases.rglob("*") if p.is_file()}
    passed = len(release.ledger.events(release.id, kind="verify.passed"))
    with pytest.raises(ArtefactError, match=message) as raised:
        verify_signatures(release, "production", "1.1.0")
    newest = release.ledger.last(release.id, "verify.refused")
    assert newest is not None and newest.data["reason"] == str(raised.value)
    assert len(release.ledger.events(release.id, kind="verify.passed")) == passed
    assert {p: p.read_bytes() for p in release.home.releases.rglob("*") if p.is_file()} == before


def _resign(release: Release, platform: Platform, names: list[str]) -> None:
    """As whoever has the key could: new checksums and signatures over what lies there."""
    write_checksums(_assets(release), names)
    sign_folder(_assets(release), signing_key(platform.keys, "signing"))


def _signed_names() -> list[str]:
    return [*(f"{service}-1.1.0.tar.gz" for service in SERVICES), "Tiny_Platform-1.1.0.zip", "sbom.cdx.json"]


def test_what_was_published_is_believed_and_recorded(published: Release) -> None:
    digests = verify_signatures(published, "production", "1.1.0")
    assert digests == {
        s: published.ledger.last("r1", "build.bundle", f"{s}@1.1.0").data["digest"] for s in SERVICES
    }
    passed = published.ledger.last("r1", "verify.passed").data
    assert passed == {
        "environment": "tiny_production",
        "version": "1.1.0",
        "by": "signature",
        "files": digests,
        "attestations": {
            name: file_digest(_assets(published) / f"{name}.intoto.json")
            for name in ("provenance", "staging")
        },
    }


@pytest.mark.parametrize("name", [*_signed_names(), "SHA256SUMS"])
def test_one_flipped_bit_of_any_asset_is_refused(
    published: Release, flip: Callable[[Path], None], name: str
) -> None:
    flip(_assets(published) / name)
    _refused(published, rf"at .*{name}")


@pytest.mark.parametrize("name", [*_signed_names(), "SHA256SUMS"])
def test_one_flipped_bit_of_any_signature_is_refused(
    published: Release, flip: Callable[[Path], None], name: str
) -> None:
    flip(_assets(published) / f"{name}.sig")
    _refused(published, rf"(signature is not by the trusted key|is no base64 text).* at .*{name}")


@pytest.mark.parametrize("name", [*_signed_names(), "SHA256SUMS"])
def test_a_removed_signature_is_refused(published: Release, name: str) -> None:
    (_assets(published) / f"{name}.sig").unlink()
    _refused(published, rf"{name}\.sig is missing at .*{name}")


@pytest.mark.parametrize("name", [*_signed_names(), "SHA256SUMS"])
def test_a_removed_asset_is_refused(published: Release, name: str) -> None:
    (_assets(published) / name).unlink()
    _refused(published, rf"is missing at .*{name}")


def test_another_key_is_refused_also_when_its_public_half_lies_in_the_release(
    published: Release, platform: Platform
) -> None:
    other = new_keys()
    sign_folder(_assets(published), signing_key(other, "signing"))
    assert (_assets(published) / "cosign.pub").read_text() == other["public_key"]
    _refused(published, "signature is not by the trusted key.* at .*SHA256SUMS")


def test_one_bundle_signed_by_another_key_is_refused(published: Release, tmp_path: Path) -> None:
    shutil.copytree(_assets(published), tmp_path / "forged")
    sign_folder(tmp_path / "forged", signing_key(new_keys(), "signing"))
    name = "web-1.1.0.tar.gz.sig"
    shutil.copy(tmp_path / "forged" / name, _assets(published) / name)
    _refused(published, r"signature is not by the trusted key.* at .*web-1\.1\.0\.tar\.gz")


def test_bundles_that_were_swapped_are_refused(published: Release, platform: Platform) -> None:
    web, worker = (_assets(published) / f"{service}-1.1.0.tar.gz" for service in SERVICES)
    content = web.read_bytes(), worker.read_bytes()
    web.write_bytes(content[1])
    worker.write_bytes(content[0])
    _refused(published, r"expected sha256:\w+, got sha256:\w+")
    _resign(published, platform, _signed_names())
    _refused(published, r"is of worker 1\.1\.0, expected web 1\.1\.0")


def test_an_older_version_under_the_new_name_is_refused(published: Release, platform: Platform) -> None:
    old = platform.home.root / "old"
    for service, file in make_artefacts(platform, old, "1.0.0", "the old way").items():
        shutil.copy(file, _assets(published) / f"{service}-1.1.0.tar.gz")
    _resign(published, platform, _signed_names())
    _refused(published, r"is of web 1\.0\.0, expected web 1\.1\.0")


def test_an_older_release_of_the_same_version_is_refused_though_its_signatures_are_good(
    platform: Platform, tmp_path: Path
) -> None:
    first = signed(built(platform, "r1", "has a bug"))
    kept = shutil.copytree(_folder(first), tmp_path / "kept")
    first.ledger.append("r1", "release.outcome", {"outcome": "ROLLED BACK", "reason": "errors"})
    second = signed(built(platform, "r2", "works"))
    verify_signatures(second, "production", "1.1.0")
    shutil.rmtree(_folder(second))
    kept.rename(_folder(second))
    _refused(second, "published last under v1.1.0, got")


def test_a_signed_release_of_other_bundles_than_this_release_built_is_refused(
    platform: Platform, tmp_path: Path
) -> None:
    release = signed(built(platform))
    make_artefacts(platform, _assets(release), "1.1.0", "something else")
    _resign(release, platform, _signed_names())
    sums = {"checksums": f"sha256:{'0' * 64}"}
    release.ledger.append_once("somebody", "sign.published", "v1.1.0", sums)
    _refused(release, "published last")
    fresh = platform.release("r3")
    sums = {"checksums": file_digest(_assets(release) / "SHA256SUMS")}
    fresh.ledger.append_once("r3", "sign.published", "v1.1.0", sums)
    _refused(release, "web: expected sha256:")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "names no file"),
        (f"{'a' * 64}  ../../store/secret\n", "line 1: expected a digest and a new file name"),
        (f"{'a' * 64}  /etc/passwd\n", "line 1: expected"),
        (f"{'a' * 63}  web-1.1.0.tar.gz\n", "line 1: expected"),
        (f"{'G' * 64}  web-1.1.0.tar.gz\n", "line 1: expected"),
        (f"{'a' * 64}  ..\n", "line 1: expected"),
        (f"{'a' * 64}  sbom.cdx.json\n{'a' * 64}  sbom.cdx.json\n", "line 2: expected"),
    ],
)
def test_checksums_that_lead_elsewhere_are_refused_even_signed(
    published: Release, platform: Platform, lines: str, message: str
) -> None:
    sums = _assets(published) / "SHA256SUMS"
    sums.write_text(lines)
    signature = signature_of(sums, signing_key(platform.keys, "signing"))
    (_assets(published) / "SHA256SUMS.sig").write_text(signature)
    _refused(published, message)


def test_a_bundle_that_no_checksum_names_is_refused(published: Release, platform: Platform) -> None:
    shutil.copy(_assets(published) / "web-1.1.0.tar.gz", _assets(published) / "extra-1.1.0.tar.gz")
    _refused(published, r"extra-1\.1\.0\.tar\.gz: not named in SHA256SUMS")
    (_assets(published) / "extra-1.1.0.tar.gz").unlink()
    _resign(published, platform, [name for name in _signed_names() if not name.startswith("worker")])
    _refused(published, r"worker-1\.1\.0\.tar\.gz: not named in SHA256SUMS")
    (_assets(published) / "worker-1.1.0.tar.gz").unlink()
    _refused(published, r"is not named in SHA256SUMS at .*worker-1\.1\.0\.tar\.gz")


def test_a_bundle_that_leads_out_of_its_folder_is_not_unpacked_even_signed(
    platform: Platform, tmp_path: Path
) -> None:
    store = BundleStore(platform.home.store)
    file = tmp_path / "evil.tar.gz"
    with tarfile.open(file, "w:gz") as archive:
        for name, content in (("bundle.json", b"{}"), ("../../escaped", b"out")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(ArtefactError, match="escaped"):
        store.open(store.put(file), tmp_path / "a" / "b" / "into")
    assert not list(tmp_path.rglob("escaped"))
    assert not (tmp_path / "a" / "b" / "into").exists()


def test_a_connection_without_a_usable_trusted_key_refuses_everything(
    published: Release, platform: Platform
) -> None:
    for wrong in ({}, {"public_key": "nonsense"}, {"public_key": platform.keys["private_key"]}):
        platform.keys.clear()
        platform.keys.update(wrong)
        with pytest.raises(SecretError, match="public_key"):
            verify_signatures(published, "production", "1.1.0")
        assert published.ledger.last("r1", "verify.refused") is not None
    by = [event.data["by"] for event in published.ledger.events("r1", kind="verify.passed")]
    assert "signature" not in by


def test_verifying_needs_no_private_key(published: Release, platform: Platform) -> None:
    for name in ("private_key", "tag_key"):
        del platform.keys[name]
    assert set(verify_signatures(published, "production", "1.1.0")) == set(SERVICES)


def test_a_release_with_no_services_is_no_release(published: Release, platform: Platform) -> None:
    with pytest.raises(ArtefactError, match="expected bundles, got none"):
        verify_release(_folder(published), "1.1.0", [], load_public_key(platform.keys["public_key"]))


@pytest.mark.parametrize("text", ["", "[]", '{"version": "1.0.0"}', '{"name": "v1.1.0"}'])
def test_a_release_that_says_another_version_is_refused(published: Release, text: str) -> None:
    (_folder(published) / "release.json").write_text(text)
    _refused(published, r"release\.json")


def test_a_bundle_missing_in_the_store_comes_back_from_the_release(published: Release) -> None:
    digests = verify_signatures(published, "production", "1.1.0")
    shutil.rmtree(published.home.store)
    verify_signatures(published, "production", "1.1.0")
    for service, digest in digests.items():
        place = BundleStore(published.home.store).path(digest)
        assert place.read_bytes() == (_assets(published) / f"{service}-1.1.0.tar.gz").read_bytes()


def test_a_damaged_bundle_in_the_store_is_refused_but_the_way_back_is_mended(
    published: Release, platform: Platform, flip: Callable[[Path], None]
) -> None:
    digests = verify_signatures(published, "production", "1.1.0")
    place = BundleStore(published.home.store).path(digests["web"])
    whole = place.read_bytes()
    flip(place)
    with pytest.raises(ArtefactError, match=r"web: expected sha256:\w+, got sha256:\w+"):
        verify_signatures(published, "production", "1.1.0")
    assert place.read_bytes() != whole

    # The same release, once it is what a later one would be taken back to.
    platform.plan = platform.plan.model_copy(update={"from_version": "1.1.0", "to_version": "1.2.0"})
    later = platform.release("later")
    assert verify_signatures(later, "production", "1.1.0")["web"] == digests["web"]
    assert place.read_bytes() == whole


def test_services_that_the_stable_version_does_not_run_are_not_asked_for(platform: Platform) -> None:
    folder = platform.home.root / "stable"
    make_artefacts(platform, folder, "1.0.0", "the old way")
    (folder / "worker-1.0.0.tar.gz").unlink()
    write_checksums(folder, ["web-1.0.0.tar.gz", "sbom.cdx.json"])
    key = signing_key(platform.keys, "signing")
    sign_folder(folder, key)
    attest_build(
        folder, platform.plan, Build("1.0.0", "c0ffee", "refs/tags/v1.0.0", "set-up", None, None), key
    )
    publish_folder(folder, platform.home, platform.plan, "1.0.0", "main")
    assert set(verify_signatures(platform.release(), "production", "1.0.0")) == {"web"}


def test_a_manifest_without_a_version_is_refused(
    published: Release, platform: Platform, tmp_path: Path
) -> None:
    (tmp_path / "content").mkdir()
    pack(tmp_path / "content", Manifest("web", "", (), "python"), _assets(published) / "web-1.1.0.tar.gz")
    _resign(published, platform, _signed_names())
    _refused(published, r"is of web , expected web 1\.1\.0")
    assert json.loads((_folder(published) / "release.json").read_text())["version"] == "1.1.0"


def test_the_stable_version_was_built_by_the_plan_before(published: Release, platform: Platform) -> None:
    """What 1.1.0's release has published is what the next plan goes back to."""
    versions = {"name": "the_next", "from_version": "1.1.0", "to_version": "1.2.0"}
    following = replace(published, id="r2", plan=published.plan.model_copy(update=versions))
    assert set(verify_signatures(following, "production", "1.1.0")) == {"web"}
