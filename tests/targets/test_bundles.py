"""Bundles: the same folder the same file, and nothing unpacked that was not verified."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from roundtrip.errors import ArtefactError
from roundtrip.targets.bundles import BundleStore, Manifest, file_digest, members, pack

MANIFEST = Manifest("api", "1.0.0", ("{python}", "main.py"), "python", environment=("A", "B"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "main.py").write_text("print()")
    (folder / "deep" / "deeper" / "data").write_bytes(bytes(range(256)) * 500)
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "store")


def put(store: BundleStore, source: Path) -> str:
    file = source.parent / "packed.tar.gz"
    digest = pack(source, MANIFEST, file)
    assert store.put(file) == digest
    return digest


def archive_of(file: Path, *entries: tarfile.TarInfo) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for entry in entries:
            # The content of the one that is too large is never read, so it is not there.
            archive.addfile(entry, io.BytesIO(b"x") if entry.size == 1 else None)


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 1) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return info


def test_the_same_content_is_the_same_file_whoever_packed_it_when(source: Path, tmp_path: Path) -> None:
    first = pack(source, MANIFEST, tmp_path / "first")
    for path in sorted(source.rglob("*"), reverse=True):
        os.utime(path, (1, 1))
        path.chmod(0o700 if path.is_dir() or path.name == "run.sh" else 0o600)
    copy = tmp_path / "elsewhere"
    source.rename(copy)
    assert pack(copy, MANIFEST, tmp_path / "other-name") == first
    assert (tmp_path / "first").read_bytes() == (tmp_path / "other-name").read_bytes()


def test_what_is_unpacked_is_what_was_packed(source: Path, store: BundleStore, tmp_path: Path) -> None:
    folder = store.open(put(store, source), tmp_path / "unpacked")
    for path in (p for p in source.rglob("*") if p.is_file()):
        there = folder / path.relative_to(source)
        assert there.read_bytes() == path.read_bytes()
        assert there.stat().st_mode & 0o100 == path.stat().st_mode & 0o100
    assert Manifest.read(folder) == MANIFEST
    assert set(members(store.path(put(store, source)))) == {
        "bundle.json",
        "main.py",
        "run.sh",
        "deep/deeper/data",
    }


def test_one_flipped_bit_anywhere_is_refused_and_nothing_is_unpacked(
    source: Path, store: BundleStore, tmp_path: Path
) -> None:
    digest = put(store, source)
    file = store.path(digest)
    whole = file.read_bytes()
    for position in range(0, len(whole), max(1, len(whole) // 50)):
        flipped = bytearray(whole)
        flipped[position] ^= 1
        file.write_bytes(flipped)
        with pytest.raises(ArtefactError, match=f"expected {digest}, got sha256:"):
            store.open(digest, tmp_path / "unpacked")
        assert not (tmp_path / "unpacked").exists()
    store.put(source.parent / "packed.tar.gz")
    assert file.read_bytes() == whole


@pytest.mark.parametrize("damage", ["changed", "emptied", "missing", "linked", "not executable"])
def test_a_folder_that_is_not_whole_any_more_is_unpacked_again(
    source: Path, store: BundleStore, tmp_path: Path, damage: str
) -> None:
    digest = put(store, source)
    folder = store.open(digest, tmp_path / "unpacked")
    (folder / "written-by-the-service").touch()
    victim = folder / ("run.sh" if damage == "not executable" else "main.py")
    content = victim.read_bytes()
    if damage == "changed":
        victim.write_bytes(content[:-1] + b"X")
    elif damage == "emptied":
        victim.write_bytes(b"")
    elif damage == "not executable":
        victim.chmod(0o644)
    else:
        victim.unlink()
    if damage == "linked":
        (tmp_path / "outside").write_bytes(content)
        victim.symlink_to(tmp_path / "outside")
    store.open(digest, folder)
    assert victim.read_bytes() == content
    assert not victim.is_symlink()
    assert victim.stat().st_mode & 0o100 == (0o100 if victim.name == "run.sh" else 0)
    assert [p.name for p in tmp_path.glob(".unpacking-*")] == []


def test_a_folder_that_is_whole_is_left_as_it_is(source: Path, store: BundleStore, tmp_path: Path) -> None:
    digest = put(store, source)
    folder = store.open(digest, tmp_path / "unpacked")
    (folder / "written-by-the-service").touch()
    before = folder.stat().st_ino
    assert store.open(digest, folder).stat().st_ino == before
    assert (folder / "written-by-the-service").exists()


@pytest.mark.parametrize(
    "bad",
    [
        entry("../escape"),
        entry("/absolute-escape"),
        entry("deep/../../escape"),
        entry("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("link", tarfile.SYMTYPE, "main.py"),
        entry("link", tarfile.LNKTYPE, "../escape"),
        entry("pipe", tarfile.FIFOTYPE),
        entry("device", tarfile.CHRTYPE),
        entry("folder", tarfile.DIRTYPE),
        entry("too-large", size=3 * 1024**3),
    ],
    ids=lambda info: f"{info.name} {info.type.decode()}",
)
def test_what_leads_outside_is_no_file_or_is_too_large_is_refused(
    bad: tarfile.TarInfo, store: BundleStore, tmp_path: Path
) -> None:
    file = tmp_path / "bad.tar.gz"
    archive_of(file, entry("good"), bad)
    digest = store.put(file)
    with pytest.raises(ArtefactError):
        store.open(digest, tmp_path / "into" / "unpacked")
    assert list((tmp_path / "into").iterdir()) == []
    assert not any(p.name.endswith("escape") for p in tmp_path.rglob("*"))
    assert not Path("/absolute-escape").exists()


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "a" * 63])
def test_what_is_no_digest_names_no_file(store: BundleStore, digest: str) -> None:
    with pytest.raises(ArtefactError, match="64 hexadecimal digits"):
        store.path(digest)


def test_a_missing_bundle_says_so(store: BundleStore, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="not in the store"):
        store.open("sha256:" + "0" * 64, tmp_path / "unpacked")


def test_links_pipes_and_a_manifest_of_its_own_are_not_packed(source: Path, tmp_path: Path) -> None:
    (source / "link").symlink_to("main.py")
    with pytest.raises(ArtefactError, match="holds no links"):
        pack(source, MANIFEST, tmp_path / "packed")
    (source / "link").unlink()
    os.mkfifo(source / "pipe")
    with pytest.raises(ArtefactError, match="regular files only"):
        pack(source, MANIFEST, tmp_path / "packed")
    (source / "pipe").unlink()
    (source / "bundle.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"bundle\.json is there already"):
        pack(source, MANIFEST, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_putting_the_right_file_again_mends_a_damaged_store(source: Path, store: BundleStore) -> None:
    digest = put(store, source)
    store.path(digest).write_bytes(b"damaged")
    put(store, source)
    assert file_digest(store.path(digest)) == digest
