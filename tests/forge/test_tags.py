"""Tags signed here are accepted by git's own verification, and everything else is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from roundtrip.errors import ForgeError
from roundtrip.forge.git import Git
from roundtrip.forge.repository import Forge

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def test_a_signed_tag_verifies_and_names_its_commit(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    forge.protect("release/v1.1.0")
    made = forge.tag("v1.1.0", commit, "Tiny Platform 1.1.0", KEY)
    assert forge.verify_tag("v1.1.0", KEY.public_key()) == commit
    assert forge.tag("v1.1.0", commit, "Tiny Platform 1.1.0", KEY) == made


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="git verifies SSH signatures with ssh-keygen")
def test_git_itself_accepts_the_signature(forge: Forge, tmp_path: Path) -> None:
    forge.tag("v1.1.0", forge.head("main"), "Tiny Platform 1.1.0", KEY)
    public = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    (tmp_path / "signers").write_text(f"roundtrip@localhost {public}\n")
    settings = ["-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={tmp_path / 'signers'}"]
    done = Git(forge.remote).attempt(*settings, "verify-tag", "v1.1.0")
    assert done.returncode == 0, done.stderr
    assert b'Good "git" signature for roundtrip@localhost' in done.stdout + done.stderr
    assert Git(forge.remote).attempt(*settings, "verify-tag", "v1.0.0").returncode != 0


def test_an_unsigned_tag_another_key_and_altered_content_are_refused(forge: Forge) -> None:
    main = forge.head("main")
    with pytest.raises(ForgeError, match="is not signed"):
        forge.verify_tag("v1.0.0", KEY.public_key())
    forge.tag("v1.1.0", main, "Tiny Platform 1.1.0", KEY)
    with pytest.raises(ForgeError, match="is signed by ssh-ed25519"):
        forge.verify_tag("v1.1.0", OTHER.public_key())

    git = Git(forge.remote)
    altered = git.data("cat-file", "tag", "v1.1.0").replace(b"Platform 1.1.0", b"Platform 1.1.1")
    git.text("update-ref", "refs/tags/v1.1.0", git.text("mktag", stdin=altered))
    with pytest.raises(ForgeError, match="signature is not valid"):
        forge.verify_tag("v1.1.0", KEY.public_key())


def test_a_tag_is_never_moved_but_can_be_withdrawn(forge: Forge) -> None:
    main, working = forge.head("main"), forge.head("upgrade/1.1.0")
    forge.protect("release/v1.1.0")
    made = forge.tag("v1.1.0", main, "first", KEY)
    with pytest.raises(ForgeError, match=f"expected commit {working}, got {main}"):
        forge.tag("v1.1.0", working, "second", KEY)
    assert forge.withdraw_tag("v1.1.0", "r1")
    assert not forge.withdraw_tag("v1.1.0", "r1")
    assert Git(forge.remote).text("rev-parse", "refs/withdrawn/r1/v1.1.0") == made
    forge.tag("v1.1.0", working, "second", KEY)
    assert forge.verify_tag("v1.1.0", KEY.public_key()) == working


def test_a_tag_that_exists_unsigned_does_not_pass_for_a_signed_one(forge: Forge) -> None:
    main = forge.head("main")
    forge.tag("v1.1.0", main, "unsigned")
    with pytest.raises(ForgeError, match="is not signed"):
        forge.tag("v1.1.0", main, "signed", KEY)
