"""Programs that a wheel of the requirements brings."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from roundtrip.errors import HostError


def brought(name: str) -> Path:
    """The program, which its wheel puts beside the interpreter. Raises HostError."""
    beside = Path(sysconfig.get_path("scripts")) / name
    found = beside if beside.exists() else Path(shutil.which(name) or "")
    if not found.is_file():
        raise HostError(
            f"{name} is not installed",
            where=str(beside),
            remedy="./roundtrip installs it from requirements.txt",
        )
    return found
