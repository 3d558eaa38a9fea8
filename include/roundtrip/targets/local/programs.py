"""Traefik's program."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from roundtrip.errors import HostError


def traefik() -> Path:
    """Its program, which the wheel puts beside the interpreter. Raises HostError."""
    beside = Path(sysconfig.get_path("scripts")) / "traefik"
    found = beside if beside.exists() else Path(shutil.which("traefik") or "")
    if not found.is_file():
        raise HostError(
            "traefik is not installed",
            where=str(beside),
            remedy="./roundtrip installs it from requirements.txt",
        )
    return found
