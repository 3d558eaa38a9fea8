"""Files of a commit, out of a bare repository: checkouts for building, and all content of a history for
inspection.

Rules:
1. A checkout has the files of the commit and nothing else, and is unpacked beside and renamed.
2. Which commit a checkout is of stands beside it, not in it, so that building it twice gives the same files.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from roundtrip.forge.git import Git
from roundtrip.tar import tarfile

_LOCK_SECONDS = 120.0


def checkout(git: Git, commit: str, folder: Path) -> Path:
    """The files of `commit` in `folder`; one of the same commit that is there already is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    marker = folder.with_name(f".{folder.name}.commit")
    with FileLock(folder.with_name(f".{folder.name}.lock"), timeout=_LOCK_SECONDS):
        if folder.is_dir() and marker.is_file() and marker.read_text() == commit:
            return folder
        part = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(git.data("archive", "--format=tar", commit))) as archive:
            archive.extractall(part, filter="data")
        marker.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
        marker.write_text(commit)
    return folder


@dataclass(frozen=True)
class Blob:
    """One content that a file had at some time."""

    id: str
    path: str
    """one of the paths it was at"""
    size_bytes: int


def blobs(git: Git, commit: str) -> list[Blob]:
    """Every content of every file in the history of `commit`, each once."""
    listed = git.text("rev-list", "--objects", "--no-object-names", commit)
    named = dict(line.partition(" ")[::2] for line in git.text("rev-list", "--objects", commit).splitlines())
    checked = git.text("cat-file", "--batch-check", stdin=f"{listed}\n".encode()).splitlines()
    parts = (line.split() for line in checked)
    return [Blob(id_, named.get(id_, ""), int(size)) for id_, kind, size in parts if kind == "blob"]


def contents(git: Git, wanted: list[Blob]) -> Iterator[tuple[Blob, bytes]]:
    """The bytes of each of `wanted`."""
    listed = "".join(f"{blob.id}\n" for blob in wanted)
    stream = io.BytesIO(git.data("cat-file", "--batch", stdin=listed.encode()))
    for blob in wanted:
        stream.readline()
        yield blob, stream.read(blob.size_bytes)
        stream.read(1)


def messages(git: Git, commit: str) -> Iterator[tuple[str, str]]:
    """Every commit in the history of `commit` with its message."""
    for record in git.text("log", "-z", "--format=%H%n%B", commit).split("\0"):
        id_, _, message = record.partition("\n")
        yield id_, message
