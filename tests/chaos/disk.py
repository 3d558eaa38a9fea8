"""A disk that can be full: a tmpfs of its own below the campaign's folder, cut to the size of what it holds.

It needs the right to mount. Root writes into what other file systems keep for it, so nothing else is full for root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """Mounted at `folder`."""

    folder: Path
    megabytes: int

    def fill(self) -> None:
        """Nothing more can be written. What is written meanwhile makes the size that was read too small: it is read again."""
        while True:
            used = _used(self.folder)
            try:
                _mount("-o", f"remount,size={used}", str(self.folder))
            except subprocess.CalledProcessError:
                if _used(self.folder) == used:
                    raise
            else:
                return

    def free(self) -> None:
        """There is room again."""
        _mount("-o", f"remount,size={self.megabytes}m", str(self.folder))


@contextmanager
def mounted(folder: Path, megabytes: int) -> Iterator[Disk | None]:
    """An empty disk at `folder`; None where this process may not mount."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _unmount(folder)  # of a campaign that was killed
    if not _may_mount(folder, megabytes):
        yield None
        return
    try:
        yield Disk(folder, megabytes)
    finally:
        _unmount(folder)


def _used(folder: Path) -> int:
    status = os.statvfs(folder)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def _may_mount(folder: Path, megabytes: int) -> bool:
    try:
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", str(folder))
    except (subprocess.CalledProcessError, FileNotFoundError):
        return False
    return True


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _unmount(folder: Path) -> None:
    while folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)
