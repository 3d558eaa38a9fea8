"""What the platform's Compose file says of its services, read by Compose itself and never edited.

Variables stay as they are written (`${…}`) and files of variables are not opened: an image carries its service's section as a
label, and that is read by everybody who may read the image.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from roundtrip.errors import BuildError
from roundtrip.targets.programs import brought
from roundtrip.toolchain.commands import Log, environment, run

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


def composed(folder: Path, log: Log) -> dict[str, Composed]:
    """Every service that the file in `folder` builds. Raises BuildError, HostError when Compose is not there."""
    file = folder / FILE
    said = _read_by_compose(file, log)
    built = {name: section for name, section in said.get("services", {}).items() if "build" in section}
    return {name: _composed(section, f"{file}: services.{name}.build") for name, section in built.items()}


def _read_by_compose(file: Path, log: Log) -> dict[str, Any]:
    """Written by Compose to a file of its own: what it warns of is on its standard output as well."""
    with tempfile.TemporaryDirectory(prefix="roundtrip-compose-") as scratch:
        written = Path(scratch) / "config.json"
        command = [
            str(brought("docker-compose")),
            f"--file={file}",
            "config",
            *AS_WRITTEN,
            f"--output={written}",
        ]
        run(command, file.parent, environment([]), log, timeout_seconds=LIMIT_SECONDS)
        said: dict[str, Any] = json.loads(written.read_text(encoding="utf-8"))
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
