"""Name and version of this service. The version is that of pyproject.toml, or of the wheel made from it."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

SERVICE = "workers"


def version_of(project_file: Path) -> str:
    """The version in `project_file` when it is there and this service's, else the installed package's."""
    if project_file.is_file():
        project = tomllib.loads(project_file.read_text(encoding="utf-8")).get("project", {})
        if project.get("name") == SERVICE:
            return str(project["version"])
    return version(SERVICE)


VERSION = version_of(Path(__file__).parents[2] / "pyproject.toml")
