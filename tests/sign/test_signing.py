"""Signing: what cosign and git accept, the same when done again, and no key anywhere but in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from roundtrip.errors import ArtefactError, ForgeError, PromotionError, SecretError
from roundtrip.forge import open_forge
from roundtrip.forge.git import Git
from roundtrip.release import Release
from roundtrip.sign.keys import new_keys, signing_key, tag_key
from roundtrip.sign.signing import sign_artefacts, sign_folder, tag_release
from roundtrip.verification.published import load_public_key, verify_signature
from tests.build.platform import Platform
from tests.sign.conftest import built
from tests.sign.cosign import cosign, needs_cosign

ENCRYPTED = BestAvailableEncryption(b"pass phrase")


def _encrypted(pem: str) -> str:
    key = load_pem_private_key(pem.encode(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, ENCRYPTED).decode()


def test_everything_that_the_checksums_name_is_signed_and_recorded(platform: Platform) -> None:
    release = built(platform)
    sign_artefacts(release)
    folder, key = release.folder / "artefacts", load_public_key(platform.keys["public_key"])
    names = {
        "SHA256SUMS",
        "Tiny_Platform-1.1.0.zip",
        "sbom.cdx.json",
        "web-1.1.0.tar.gz",
        "worker-1.1.0.tar.gz",
    }
    events = {event.key: event.data for event in release.ledger.events("r1", kind="sign.signed")}
    assert set(events) == names == {path.name.removesuffix(".sig") for path in folder.glob("*.sig")}
    for name in names:
        verify_signature(folder / name, key)
        assert (folder / f"{name}.sig").read_text() == events[name]["signature"]


def test_signing_again_gives_the_same_and_one_event_each(platform: Platform) -> None:
    release = built(platform)
    sign_artefacts(release)
    before = {p.name: p.read_bytes() for p in (release.folder / "artefacts").iterdir()}
    count = len(release.ledger.events("r1", kind="sign.signed"))
    sign_artefacts(release)
    assert {p.name: p.read_bytes() for p in (release.folder / "artefacts").iterdir()} == before
    assert len(release.ledger.events("r1", kind="sign.signed")) == count


def test_what_is_not_what_was_built_is_not_signed(platform: Platform) -> None:
    release = built(platform)
    file = release.folder / "artefacts" / "web-1.1.0.tar.gz"
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(ArtefactError, match=r"at .*web-1\.1\.0\.tar\.gz"):
        sign_artefacts(release)
    assert not list((release.folder / "artefacts").glob("*.sig"))
    assert release.ledger.last("r1", "sign.signed") is None


@needs_cosign
def test_cosign_accepts_our_signatures_and_only_over_what_was_signed(platform: Platform) -> None:
    release = built(platform)
    sign_artefacts(release)
    folder = release.folder / "artefacts"
    offline = ("verify-blob", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--signature")
    for name in ("SHA256SUMS", "web-1.1.0.tar.gz"):
        done = cosign(folder, *offline, f"{name}.sig", name)
        assert done.returncode == 0 and done.stderr.endswith("Verified OK\n"), done.stderr
    assert cosign(folder, *offline, "SHA256SUMS.sig", "web-1.1.0.tar.gz").returncode != 0


@needs_cosign
def test_we_accept_what_cosign_signed(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("signed by cosign")
    assert cosign(tmp_path, "generate-key-pair").returncode == 0
    command = (
        "sign-blob",
        "--yes",
        "--key",
        "cosign.key",
        "--tlog-upload=false",
        "--output-signature",
        "blob.sig",
    )
    signed = cosign(tmp_path, *command, "blob")
    assert signed.returncode == 0, signed.stderr
    verify_signature(tmp_path / "blob", load_public_key((tmp_path / "cosign.pub").read_text()))
    with pytest.raises(ArtefactError, match="signature is not by the trusted key"):
        verify_signature(tmp_path / "blob", load_public_key(platform.keys["public_key"]))


def test_the_tag_is_signed_and_made_once(platform: Platform) -> None:
    release = platform.release()
    tag_release(release)
    commit = release.ledger.last("r1", "candidate.chosen").data["commit"]
    key = tag_key(platform.keys, "signing").public_key()
    assert open_forge(release).verify_tag("v1.1.0", key) == commit
    first = Git(platform.home.repository).text("rev-parse", "refs/tags/v1.1.0")
    tag_release(release)
    assert Git(platform.home.repository).text("rev-parse", "refs/tags/v1.1.0") == first
    assert release.ledger.last("r1", "sign.tagged").data == {
        "tag": "v1.1.0",
        "commit": commit,
        "object": first,
    }


def _outcome(release: Release, outcome: str) -> None:
    release.ledger.append(release.id, "release.outcome", {"outcome": outcome, "reason": "of the test"})


def _next(platform: Platform) -> Release:
    """The next release, of another commit."""
    (platform.change / "web" / "notes.txt").write_text("mended\n")
    platform.lay()
    return platform.release("r2")


@pytest.mark.parametrize("outcome", ["ROLLED BACK", "STOPPED"])
def test_a_version_that_was_taken_back_can_be_tagged_again_and_its_tag_is_kept(
    platform: Platform, outcome: str
) -> None:
    first = platform.release()
    tag_release(first)
    git = Git(platform.home.repository)
    old = git.text("rev-parse", "refs/tags/v1.1.0")
    _outcome(first, outcome)
    second = _next(platform)
    tag_release(second)
    assert (
        git.text("rev-parse", "v1.1.0^{commit}")
        == second.ledger.last("r2", "candidate.chosen").data["commit"]
    )
    assert git.text("rev-parse", "refs/withdrawn/r1/v1.1.0") == old
    assert second.ledger.last("r2", "sign.withdrawn").data["of_release"] == "r1"


@pytest.mark.parametrize("outcome", ["PROMOTED", "BROKEN", None])
def test_the_tag_of_a_release_that_is_in_use_or_not_ended_stays(
    platform: Platform, outcome: str | None
) -> None:
    first = platform.release()
    tag_release(first)
    old = Git(platform.home.repository).text("rev-parse", "refs/tags/v1.1.0")
    if outcome is not None:
        _outcome(first, outcome)
    second = _next(platform)
    with pytest.raises(ForgeError, match="a tag is never moved"):
        tag_release(second)
    assert Git(platform.home.repository).text("rev-parse", "refs/tags/v1.1.0") == old
    assert second.ledger.last("r2", "sign.tagged") is None


def test_the_tag_stays_when_one_of_its_releases_was_promoted_and_another_stopped(platform: Platform) -> None:
    first, again = platform.release("r0"), platform.release("r1")
    tag_release(first)
    _outcome(first, "PROMOTED")
    _outcome(again, "STOPPED")
    with pytest.raises(ForgeError, match="a tag is never moved"):
        tag_release(_next(platform))


def test_without_a_candidate_nothing_is_tagged(platform: Platform) -> None:
    release = platform.release()
    with pytest.raises(PromotionError, match="no candidate was chosen"):
        tag_release(replace(release, id="another"))


def test_encrypted_keys_are_opened_by_their_password(tmp_path: Path) -> None:
    keys = new_keys()
    locked = {name: _encrypted(keys[name]) for name in ("private_key", "tag_key")}
    usable = {**keys, **locked, "password": "pass phrase"}
    assert signing_key(usable, "c").public_key() == signing_key(keys, "c").public_key()
    assert (
        tag_key({**keys, "password": "of no use here"}, "c").public_key() == tag_key(usable, "c").public_key()
    )
    for password in ({}, {"password": "wrong"}):
        with pytest.raises(
            SecretError, match="private_key is no PEM private key in PKCS8, or its password is wrong"
        ):
            signing_key({**keys, **locked, **password}, "c")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"private_key": ""}, "private_key is no PEM"),
        ({"private_key": "of the tag"}, "private_key: expected ECDSA on P-256"),
        ({"public_key": "other"}, "public_key has fingerprint sha256:"),
    ],
)
def test_a_key_that_cannot_sign_is_named_and_never_shown(change: dict[str, str], message: str) -> None:
    keys = new_keys()
    words = {"of the tag": keys["tag_key"], "other": new_keys()["public_key"]}
    bent = {**keys, **{name: words.get(value, value) for name, value in change.items()}}
    with pytest.raises(SecretError, match=message) as raised:
        signing_key(bent, "the connection")
    assert "the connection" in str(raised.value) and "BEGIN" not in str(raised.value)
    with pytest.raises(SecretError, match="tag_key is missing"):
        tag_key({"private_key": keys["private_key"]}, "c")


def test_no_key_is_written_anywhere(platform: Platform, tmp_path: Path) -> None:
    release = built(platform)
    tag_release(release)
    sign_artefacts(release)
    bodies = ["".join(platform.keys[name].splitlines()[1:-1]) for name in ("private_key", "tag_key")]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes().replace(b"\n", b"").replace(b"\\n", b"")
            assert not any(body.encode() in content for body in bodies), file


def test_a_folder_is_signed_by_what_its_checksums_name_and_nothing_else(
    platform: Platform, tmp_path: Path
) -> None:
    folder = built(platform).folder / "artefacts"
    (folder / "left-over.txt").write_text("not part of the release")
    signed = sign_folder(folder, signing_key(platform.keys, "c"))
    assert "left-over.txt" not in signed and not (folder / "left-over.txt.sig").exists()
