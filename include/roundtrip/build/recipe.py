"""How a service of a plan becomes a bundle: export, dependencies, commands, what goes in, pack.

Rules:
1. What goes into a bundle comes from one commit and its lockfiles; the machine, the time and the folder leave no trace.
2. Dependencies in a bundle are those of the lockfile without what only building and testing needs.
3. The stable and the new version, and the second build that is compared with the first, all come this way.
"""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import BuildError
from roundtrip.forge import Forge
from roundtrip.plan.model import Plan, Service
from roundtrip.targets.bundles import Manifest, pack
from roundtrip.toolchain.projects import Toolchain

RECIPE = "1"
"""Part of the build cache's key: raised when this module makes something else of the same source."""

LEFT_OUT = shutil.ignore_patterns(
    "__pycache__",
    "*.pyc",
    ".bin",
    ".cache",
    ".roundtrip-lock",
    ".package-lock.json",
    "_virtualenv*",
    "distutils-precedence.pth",
)
INSTALLER_TRACES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""Files of a dist-info that say how and where it was installed, not what it is."""

FIXED = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Recipe:
    """One service at one commit, to be built below `folder`."""

    plan: Plan
    service: str
    version: str
    commit: str
    commit_time: int
    """seconds since 1970; SOURCE_DATE_EPOCH"""
    folder: Path

    @property
    def settings(self) -> Service:
        return self.plan.services[self.service]

    def make(self, forge: Forge, tools: Toolchain, destination: Path) -> str:
        """Build into `destination`; the bundle's digest. Raises BuildError."""
        source = forge.checkout(self.commit, self.folder / "source")
        project = source / self.settings.path
        env = self._environment(tools.dependencies(project, self.settings.toolchain))
        for command in self.settings.build:
            tools.run(command, project, env)
        staged = self.folder / "staged"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        for pattern, place in self.settings.bundle.include.items():
            _include(project, pattern, staged / place)
        self._add_dependencies(project, staged, tools)
        _add_run_script(staged)
        return pack(staged, self.manifest(), destination)

    def manifest(self) -> Manifest:
        settings = self.settings
        stable = settings.environment_stable if self.version == self.plan.from_version else None
        return Manifest(
            service=self.service,
            version=self.version,
            run=tuple(settings.bundle.run),
            toolchain=settings.toolchain,
            health=settings.health,
            metrics=settings.metrics,
            environment=tuple(settings.environment if stable is None else stable),
        )

    def _environment(self, of_project: Mapping[str, str]) -> dict[str, str]:
        return {**of_project, **FIXED, "SOURCE_DATE_EPOCH": str(self.commit_time)}

    def _add_dependencies(self, project: Path, staged: Path, tools: Toolchain) -> None:
        kind = self.settings.bundle.dependencies
        if kind == "npm":
            tools.dependencies(project, "node", development=False)
            _copy(project / "node_modules", staged / "node_modules")
        if kind == "poetry":
            site = staged / "site"
            _copy(_site_packages(tools.python_environment(project, development=False)), site)
            wheels = sorted(project.glob("dist/*.whl"))
            if len(wheels) != 1:
                raise BuildError(
                    f"expected one wheel in dist, got {[w.name for w in wheels]}",
                    where=str(project),
                    remedy="build it by `poetry build` in the plan's build commands",
                )
            with zipfile.ZipFile(wheels[0]) as wheel:
                wheel.extractall(site)
            for trace in (path for name in INSTALLER_TRACES for path in site.glob(f"*.dist-info/{name}")):
                trace.unlink()


def _include(project: Path, pattern: str, place: Path) -> None:
    found = sorted(project.glob(pattern))
    if not found:
        raise BuildError(
            f"nothing matches {pattern}",
            where=str(project),
            remedy="correct bundle.include, or the build commands",
        )
    is_pattern = any(character in pattern for character in "*?[")
    for path in found:
        _copy(path, place / path.name if is_pattern else place)


def _copy(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, ignore=LEFT_OUT, symlinks=False, dirs_exist_ok=True)
    else:
        shutil.copy2(source, place)


def _site_packages(venv: Path) -> Path:
    return venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _add_run_script(staged: Path) -> None:
    """For a person who has only the bundle: runs what `bundle.json` says, from the bundle's folder."""
    script = staged / "bin" / "run"
    script.parent.mkdir(exist_ok=True)
    script.write_text(_RUN, encoding="utf-8")
    script.chmod(0o755)


_RUN = '''#!/usr/bin/env python3
"""Runs this bundle: bin/run, with the variables that bundle.json lists in the environment."""
import json, os, shutil, sys
from pathlib import Path

folder = Path(__file__).resolve().parent.parent
manifest = json.loads((folder / "bundle.json").read_text())
programs = {"{python}": sys.executable, "{node}": shutil.which("node") or "node"}
argv = [programs.get(word, word) for word in manifest["run"]]
os.chdir(folder)
if manifest["toolchain"] == "python":
    os.environ["PYTHONPATH"] = str(folder / "site")
os.execvp(argv[0], argv)
'''
