"""An install that begins with another tree ends as one that began with nothing, file by file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from roundtrip.errors import BuildError
from roundtrip.toolchain import seeding
from roundtrip.toolchain.folders import MARKER
from roundtrip.toolchain.projects import Toolchain

NODE = Path(__file__).parent / "fixtures" / "node"
OURS = "20.1.0 x86_64"


def installed(
    cache: Path, project: Path, *, development: bool = True
) -> tuple[Mapping[str, bytes], list[str]]:
    """What is in node_modules, by path, and what was said. Links are in it as what they lead to."""
    log: list[str] = []
    Toolchain(cache, 20, log.append).dependencies(project, "node", development=development)
    modules = project / "node_modules"
    found = {file.relative_to(modules).as_posix(): file for file in modules.rglob("*")}
    return {path: file.read_bytes() if file.is_file() else b"" for path, file in found.items()}, log


def version(folder: Path, number: str) -> Path:
    """The project with another version number, so with a lock and a tree of its own."""
    shutil.copytree(NODE, folder)
    for name in ("package.json", "package-lock.json"):
        file = folder / name
        file.write_text(file.read_text().replace('"version": "1.1.0"', f'"version": "{number}"'))
    return folder


@pytest.mark.parametrize("development", [True, False])
def test_the_next_version_begins_with_the_last_and_is_what_npm_ci_makes(
    tmp_path: Path, development: bool
) -> None:
    installed(tmp_path / "cache", version(tmp_path / "first", "1.1.1"))
    seeded, said = installed(tmp_path / "cache", version(tmp_path / "next", "1.1.2"), development=development)
    assert [line for line in said if "npm install" in line]
    assert not [line for line in said if "npm ci" in line]
    made, said = installed(tmp_path / "other", version(tmp_path / "alone", "1.1.2"), development=development)
    assert [line for line in said if "npm ci" in line]
    assert seeded == made
    assert ("picocolors/package.json" in seeded) is development


def test_a_seed_stays_as_it_was(tmp_path: Path) -> None:
    before, _ = installed(tmp_path / "cache", version(tmp_path / "first", "1.1.1"))
    installed(tmp_path / "cache", version(tmp_path / "next", "1.1.2"), development=False)
    after, said = installed(tmp_path / "cache", version(tmp_path / "again", "1.1.1"))
    assert said == []
    assert after == before


def test_a_manifest_that_left_its_lock_is_refused_with_a_seed_too(tmp_path: Path) -> None:
    installed(tmp_path / "cache", version(tmp_path / "first", "1.1.1"))
    project = version(tmp_path / "next", "1.1.2")
    manifest = project / "package.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"dependencies": {"ms": "2.1.2"}}))
    lock = (project / "package-lock.json").read_bytes()
    with pytest.raises(BuildError, match="npm ci"):
        installed(tmp_path / "cache", project)
    assert (project / "package-lock.json").read_bytes() == lock


def tree(trees: Path, name: str, packages: int, *, made_by: str = OURS, is_whole: bool = True) -> Path:
    """An installed tree with the first `packages` of ten."""
    folder = trees / name
    (folder / "node_modules").mkdir(parents=True)
    (folder / seeding.INSTALLED).write_bytes(lock(packages))
    seeding.note_maker(folder, made_by)
    if is_whole:
        (folder / MARKER).touch()
    return folder


def lock(packages: int) -> bytes:
    names = {f"node_modules/p{number}": {"integrity": f"sha512-{number}"} for number in range(packages)}
    return json.dumps({"packages": {"": {"name": "root"}, **names}}).encode()


def test_the_nearest_tree_has_most_of_the_lock(tmp_path: Path) -> None:
    tree(tmp_path, "some", 6)
    most = tree(tmp_path, "most", 9)
    tree(tmp_path, "few", 2)
    assert seeding.nearest(tmp_path, lock(10), OURS) == most


@pytest.mark.parametrize(
    ("packages", "made_by", "is_whole"),
    [(4, OURS, True), (10, "18.1.0 x86_64", True), (10, "20.1.0 aarch64", True), (10, OURS, False)],
    ids=["too little in common", "another Node", "another machine", "not finished"],
)
def test_what_is_no_seed(tmp_path: Path, packages: int, made_by: str, is_whole: bool) -> None:
    tree(tmp_path, "one", packages, made_by=made_by, is_whole=is_whole)
    assert seeding.nearest(tmp_path, lock(10), OURS) is None


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"packages": 3}', b'{"packages": {"a": 3}}', b"\xff"])
def test_a_lock_that_cannot_be_read_has_no_seed_and_is_none(tmp_path: Path, damaged: bytes) -> None:
    folder = tree(tmp_path, "one", 10)
    assert seeding.nearest(tmp_path, damaged, OURS) is None
    (folder / seeding.INSTALLED).write_bytes(damaged)
    assert seeding.nearest(tmp_path, lock(10), OURS) is None
