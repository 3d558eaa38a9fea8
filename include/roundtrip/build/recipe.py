"""How a service of a plan becomes a bundle: export, dependencies, commands, contents, pack.

Rules:
1. Only the service's own folder of the commit is exported, into a folder that no attempt before had: what a build needs
   is in there, in its lockfiles or in the plan. What a killed attempt left, and a command of it that still runs, is
   somewhere else.
2. The machine, the time and the folder leave no trace: locale, time zone and SOURCE_DATE_EPOCH are fixed.
3. What was built says the version that was asked for.
4. The stable and the new version, and the second build that is compared with the first, all come this way.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundtrip.build import contents
from roundtrip.errors import BuildError
from roundtrip.forge import Forge
from roundtrip.forge.git import Git
from roundtrip.plan.model import Plan, Service
from roundtrip.targets import bundles
from roundtrip.targets.bundles import Manifest, pack
from roundtrip.toolchain.folders import digest_of, locked
from roundtrip.toolchain.projects import Toolchain

RECIPE = digest_of(
    *(Path(str(module)).read_bytes() for module in (__file__, contents.__file__, bundles.__file__))
)
"""Part of the build cache's key: these modules make another bundle of the same source when they change."""

FIXED = {"LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Recipe:
    """One service at one commit, to be built below `folder`."""

    plan: Plan
    service: str
    version: str
    commit: str
    tree: str
    """git's name of the service's folder at the commit"""
    changed_at: int
    """seconds since 1970, of the newest commit that changed the folder; SOURCE_DATE_EPOCH"""
    folder: Path

    @property
    def settings(self) -> Service:
        return self.plan.services[self.service]

    def make(self, forge: Forge, tools: Toolchain, destination: Path) -> str:
        """Build into `destination`; the bundle's digest. Raises BuildError."""
        with locked(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True, exist_ok=True)
            attempt = Path(tempfile.mkdtemp(prefix="attempt-", dir=self.folder))
            project = forge.checkout(self.tree, attempt / "source")
            self._require_version(project)
            self._run(project, tools)
            staged = contents.stage(self.manifest(), self.plan, project, attempt / "staged", tools)
            destination.parent.mkdir(parents=True, exist_ok=True)
            digest = pack(staged, self.manifest(), destination)
            shutil.rmtree(self.folder, ignore_errors=True)
        return digest

    def manifest(self) -> Manifest:
        """What the target is told about the bundle."""
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

    def _run(self, project: Path, tools: Toolchain) -> None:
        env = tools.dependencies(project, self.settings.toolchain)
        fixed = {**env, **FIXED, "SOURCE_DATE_EPOCH": str(self.changed_at)}
        for command in self.settings.build:
            tools.run(command, project, fixed)

    def _require_version(self, project: Path) -> None:
        found = _version_of(project, self.settings.toolchain)
        if found != self.version:
            raise BuildError(
                f"{self.service}: expected version {self.version}, its own manifest says {found}",
                where=f"{self.settings.path} at commit {self.commit}",
                remedy="set the version in package.json or pyproject.toml, and the lockfile with it",
            )


def recipe(plan: Plan, repository: Path, service: str, *, version: str, commit: str, folder: Path) -> Recipe:
    """The recipe of `service` at `commit`. Raises ForgeError when the commit has no such folder."""
    git, path = Git(repository), Path(plan.services[service].path).as_posix()
    tree = git.text("rev-parse", "--verify", f"{commit}^{{tree}}" if path == "." else f"{commit}:{path}")
    changed_at = int(git.text("log", "-1", "--format=%ct", commit, "--", path))
    return Recipe(plan, service, version, commit, tree, changed_at, folder)


def _version_of(project: Path, toolchain: str) -> str:
    name = "package.json" if toolchain == "node" else "pyproject.toml"
    try:
        text = (project / name).read_text(encoding="utf-8")
        data: dict[str, Any] = json.loads(text) if toolchain == "node" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise BuildError(f"{name} cannot be read: {error}", where=str(project), remedy="mend it") from error
    poetry = data.get("tool", {}).get("poetry", {})
    return str(data.get("version") or data.get("project", {}).get("version") or poetry.get("version"))
