"""What the platform's Compose file says of its services, read by Compose itself and never edited.

Variables stay as they are written (`${…}`) and files of variables are not opened: an image carries its service's section as a
label, and that is read by everybody who may read the image.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from roundtrip.errors import BuildError
from roundtrip.targets.programs import brought

FILE = "docker-compose.yml"
AS_WRITTEN = (
    "--no-interpolate",
    "--no-path-resolution",
    "--no-env-resolution",
    "--no-normalize",
    "--format=json",
)
LIMIT_SECONDS = 60
UNDERSTOOD = {"context", "dockerfile", "target", "args"}
"""of a section's `build` (Compose specification, build.md)"""


@dataclass(frozen=True)
class Composed:
    """One service of the file that is built from a Dockerfile."""

    context: PurePosixPath
    """folder, from the file's own"""
    dockerfile: str
    """from the context"""
    target: str | None
    arguments: Mapping[str, str]
    section: Mapping[str, Any]
    """all that the file says of the service, but for its build"""


def composed(folder: Path) -> dict[str, Composed]:
    """Every service that the file in `folder` builds. Raises BuildError, HostError when Compose is not there."""
    file = folder / FILE
    said = _read_by_compose(file)
    built = {name: section for name, section in said.get("services", {}).items() if "build" in section}
    return {name: _composed(section, f"{file}: services.{name}.build") for name, section in built.items()}


def _read_by_compose(file: Path) -> dict[str, Any]:
    command = [str(brought("docker-compose")), f"--file={file}", "config", *AS_WRITTEN]
    done = subprocess.run(
        command,
        env={"PATH": os.environ.get("PATH", "")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildError(
            done.stderr.strip() or f"Compose ended with {done.returncode}",
            where=str(file),
            remedy="mend it on the working branch; `docker compose config` tells the same",
        )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _composed(section: Mapping[str, Any], where: str) -> Composed:
    build = section["build"]
    if further := sorted(build.keys() - UNDERSTOOD):
        raise BuildError(
            f"{', '.join(further)}: a release would build something else than Compose does",
            where=where,
            remedy=f"use {', '.join(sorted(UNDERSTOOD))} alone",
        )
    context = PurePosixPath(build.get("context", "."))
    if context.is_absolute() or ".." in context.parts or "://" in str(build.get("context")):
        raise BuildError(
            f"context: expected a folder of the platform, got {build['context']}",
            where=where,
            remedy="build from what the release branch has",
        )
    return Composed(
        context,
        build.get("dockerfile", "Dockerfile"),
        build.get("target"),
        {name: str(value) for name, value in (build.get("args") or {}).items()},
        {key: value for key, value in section.items() if key != "build"},
    )
