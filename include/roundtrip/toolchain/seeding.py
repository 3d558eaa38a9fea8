"""Where an install of npm begins: the tree that was installed before and has most in common with the lockfile.

Two versions of a project differ in a few packages of hundreds. npm leaves those that are the lock's already, which takes
three seconds where unpacking all of them takes thirty.
Rules:
1. A seed was finished by an install of the same Node on the same kind of machine; each of its packages was compared
   with its lock's hash when it was unpacked.
2. The seed is linked, not changed: npm replaces packages as folders, and what it writes in place is left out.
3. What comes out is what `npm ci` makes of the lock. An install that fails or wants another lock is dropped for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from roundtrip import durable
from roundtrip.toolchain.folders import MARKER, linked_copy

MADE_BY = ".roundtrip-made-by"
INSTALLED = Path("node_modules") / ".package-lock.json"
"""what npm notes of a tree that it has installed"""
SMALLEST_SHARE = 0.5
"""of the lock's packages that a seed must have; with less, to begin with nothing is as good"""
LOOKED_AT = 20
"""newest trees"""


def note_maker(folder: Path, made_by: str) -> None:
    """Note in an installed `folder` by which Node and on what machine it was made."""
    durable.write(folder / MADE_BY, made_by)


def nearest(trees: Path, lock: bytes, made_by: str) -> Path | None:
    """The folder below `trees` that has most of what `lock` wants; None when none has enough."""
    wanted = _hashes(lock)
    found = [(len(wanted & _hashes(_read(tree / INSTALLED))), tree) for tree in _newest(trees, made_by)]
    common, best = max(found, default=(0, None), key=lambda each: each[0])
    return best if wanted and common >= SMALLEST_SHARE * len(wanted) else None


def link_packages(seed: Path, folder: Path, *, without: Iterable[str]) -> None:
    """Have the packages of `seed` in `folder`, by links, but for the files `without` of `node_modules`."""
    modules = folder / "node_modules"
    linked_copy(seed / "node_modules", modules)
    for name in (INSTALLED.name, *without):
        (modules / name).unlink(missing_ok=True)


def remove_empty_folders(modules: Path) -> None:
    """Remove the empty folders that npm leaves where a package was."""
    for folder, _, _ in os.walk(modules, topdown=False):
        if not os.listdir(folder):  # noqa: PTH208 - of the walk's own strings, for tens of thousands
            Path(folder).rmdir()


def _newest(trees: Path, made_by: str) -> list[Path]:
    whole = [marker.parent for marker in trees.glob(f"*/{MARKER}")]
    newest = sorted(whole, key=lambda tree: (tree / MARKER).stat().st_mtime, reverse=True)[:LOOKED_AT]
    return [tree for tree in newest if _read(tree / MADE_BY) == made_by.encode()]


def _hashes(lock: bytes) -> set[str]:
    """Path and hash of each package of a lockfile; none when it cannot be read: npm says what is wrong with it."""
    try:
        packages = json.loads(lock)["packages"].items()
        return {f"{path} {package['integrity']}" for path, package in packages if "integrity" in package}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
