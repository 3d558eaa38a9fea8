"""Folders that are prepared once and used by many tasks, also when two tasks want one at the same moment.

Rules:
1. A folder is whole when its marker is there; the marker is written last, so a killed task leaves none.
2. A folder without its marker is emptied and prepared again, in its final place: scripts inside a virtual
   environment hold their own path, so it cannot be prepared beside and renamed.
3. Who prepares holds a lock that the operating system takes back when the process dies. Waiting is bounded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from roundtrip.errors import HostError

LOCK_SECONDS = 900.0
"""How long a task waits for another one that prepares the same folder: longer than the slowest install."""

MARKER = ".roundtrip-complete"


@contextmanager
def locked(path: Path, seconds: float = LOCK_SECONDS) -> Iterator[None]:
    """Hold the lock of `path`, a file that need not exist; its lock file lies beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=seconds)
    try:
        with lock:
            yield
    except Timeout as error:
        raise HostError(
            f"waited {seconds:g} s for another task to finish with it",
            where=str(path),
            remedy="end the process that holds the lock file beside it if it hangs, and try again",
        ) from error


def prepared(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, made by `make(folder)` unless an earlier call already finished it."""
    if (folder / MARKER).is_file():
        return folder
    with locked(folder):
        if (folder / MARKER).is_file():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        (folder / MARKER).touch()
    return folder


def linked_copy(source: Path, target: Path) -> None:
    """Copy the tree `source` to `target`, which must not exist, by hard links.

    That takes seconds and no space for the 30,000 files of a node_modules.
    On another file system, where links cannot reach, files are copied.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            place = target / entry.name
            if entry.is_symlink():
                place.symlink_to(Path(entry.path).readlink())
            elif entry.is_dir():
                linked_copy(Path(entry.path), place)
            else:
                _link(Path(entry.path), place)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # EXDEV, EMLINK, or a file system without links: a copy is as good, only slower
        shutil.copy2(source, target)


def digest_of(*parts: bytes | str) -> str:
    """A short name for content: sha256 over the parts, each preceded by its length so that borders count."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()[:24]
