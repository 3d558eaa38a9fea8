"""The dependencies of the platform's projects, installed once for each lockfile, and commands run with them.

Rules:
1. What is installed depends on the manifest, the lockfile and the toolchain's version only; a second release
   with the same lock installs nothing.
2. A lockfile that is not in step with its manifest is an error: nothing is resolved here.
3. A project's own code is never installed: Python projects run from `src` by PYTHONPATH, so one environment
   serves every checkout.
4. An install of npm begins with the tree that is nearest to its lockfile, and ends as one that began with nothing.
5. node_modules is linked into the project, since Next.js refuses one that is a link to elsewhere.
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from roundtrip.errors import BuildError
from roundtrip.toolchain import programs, seeding
from roundtrip.toolchain.commands import COMMAND_SECONDS, Done, Log, environment, run
from roundtrip.toolchain.folders import digest_of, linked_copy, locked, prepared
from roundtrip.toolchain.programs import INSTALL_SECONDS, Node

Kind = Literal["python", "node"]

COMMAND_OF = "ROUNDTRIP_COMMAND_OF"
"""Variable by which a command of ours is known, with the cache folder that it works with: one whose task was killed
goes on by itself."""

_NODE_MARKER = ".roundtrip-lock"


@dataclass(frozen=True)
class Toolchain:
    """Programs and dependencies below one cache folder."""

    cache: Path
    node_major: int
    log: Log

    @cached_property
    def node(self) -> Node:
        return programs.node(self.cache, self.node_major, self.log)

    @cached_property
    def poetry(self) -> Path:
        return programs.poetry(self.cache, self.log)

    def dependencies(self, project: Path, kind: Kind, *, development: bool = True) -> dict[str, str]:
        """Install what `project`'s lockfile names and return the environment its commands run in.

        `development=False` leaves out what only building and testing needs.
        """
        if kind == "node":
            self._node_modules(project, development)
            return self.environment([project / "node_modules" / ".bin", self.node.folder])
        venv = self.python_environment(project, development=development)
        extra = {"VIRTUAL_ENV": str(venv), "PYTHONPATH": str(project / "src")}
        return self.environment([venv / "bin", self.poetry], extra)

    def run(
        self,
        command: Sequence[str],
        project: Path,
        env: Mapping[str, str],
        *,
        timeout_seconds: float = COMMAND_SECONDS,
    ) -> Done:
        """Run one command of a plan in `project`. Raises BuildError."""
        return run(command, project, env, self.log, timeout_seconds=timeout_seconds)

    def python_environment(self, project: Path, *, development: bool = True) -> Path:
        """The virtual environment with the locked dependencies of a Poetry project, without the project.

        Poetry reads its lock, uv installs it: by hash, several times faster, and from any package index, also
        from one that lacks the JSON interface which Poetry's own installer asks PyPI for.
        """
        files = _read(project, "pyproject.toml", "poetry.lock")
        groups = ["--all-groups"] if development else ["--only", "main"]

        def make(venv: Path) -> None:
            programs.virtual_environment(venv, self.log)
            env = self.environment([venv / "bin", self.poetry], {"VIRTUAL_ENV": str(venv)})
            run(["poetry", "check", "--lock"], project, env, self.log, timeout_seconds=INSTALL_SECONDS)
            requirements = venv / "requirements.txt"
            export = [
                "poetry",
                "export",
                "--format",
                "requirements.txt",
                "--output",
                str(requirements),
                *groups,
            ]
            run(export, project, env, self.log, timeout_seconds=INSTALL_SECONDS)
            programs.install_locked(venv, requirements, self.log)

        key = digest_of(*files, sys.version, platform.machine(), self.poetry.parent.name, str(development))
        return prepared(self.cache / "python" / key, make)

    def _node_modules(self, project: Path, development: bool) -> None:
        files = _read(project, "package.json", "package-lock.json")
        npmrc = project / ".npmrc"
        settings = npmrc.read_bytes() if npmrc.is_file() else b""
        made_by = f"{self.node.version} {platform.machine()}"
        key = digest_of(*files, settings, self.node.version, platform.machine(), str(development))
        options = ["--no-audit", "--no-fund", "--prefer-offline", *([] if development else ["--omit=dev"])]

        def make(folder: Path) -> None:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                if (project / name).is_file():
                    shutil.copy2(project / name, folder / name)
            seed = seeding.nearest(self.cache / "npm", files[1], made_by)
            if seed is None or not self._install_from(seed, folder, options):
                self._npm(["ci", *options], folder)
            (folder / "node_modules").mkdir(exist_ok=True)  # npm makes none when nothing is depended on
            (folder / "node_modules" / _NODE_MARKER).write_text(key)
            seeding.note_maker(folder, made_by)

        cached = prepared(self.cache / "npm" / key, make) / "node_modules"
        with locked(self.cache / "npm" / f"place-{digest_of(str(project.resolve()))}"):
            _place(cached, project / "node_modules", key)

    def _install_from(self, seed: Path, folder: Path, options: Sequence[str]) -> bool:
        """Install in `folder` what its lockfile says, beginning with `seed`; whether that came out."""
        lock = (folder / "package-lock.json").read_bytes()
        seeding.link_packages(seed, folder, without=[_NODE_MARKER])
        try:
            self._npm(["install", *options], folder)
        except BuildError as error:
            self.log(f"{error.what}; beginning anew")
        else:
            if (folder / "package-lock.json").read_bytes() == lock:
                seeding.remove_empty_folders(folder / "node_modules")
                return True
            self.log("npm would have another lockfile; beginning anew, npm ci says what is wrong with it")
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        (folder / "package-lock.json").write_bytes(lock)
        return False

    def _npm(self, arguments: Sequence[str], folder: Path) -> None:
        env = self.environment([self.node.folder])
        run(["npm", *arguments], folder, env, self.log, timeout_seconds=INSTALL_SECONDS)

    def environment(self, path: Sequence[Path], extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a command gets: `path` first, package caches below our own cache, nobody asked anything."""
        own = {
            COMMAND_OF: str(self.cache),
            "npm_config_cache": str(self.cache / "npm-downloads"),
            "MYPY_CACHE_DIR": str(self.cache / "mypy"),
            "POETRY_CACHE_DIR": str(self.cache / "poetry-downloads"),
            "POETRY_NO_INTERACTION": "1",
            "POETRY_KEYRING_ENABLED": "false",  # a keyring may ask a person, and nobody is there
        }
        return environment(path, {**own, **(extra or {})})


def _place(cached: Path, node_modules: Path, key: str) -> None:
    marker = node_modules / _NODE_MARKER
    if marker.is_file() and marker.read_text() == key:
        return
    part = node_modules.with_name(".node_modules.part")
    shutil.rmtree(part, ignore_errors=True)
    linked_copy(cached, part)
    shutil.rmtree(node_modules, ignore_errors=True)
    part.rename(node_modules)


def _read(project: Path, *names: str) -> list[bytes]:
    missing = [name for name in names if not (project / name).is_file()]
    if missing:
        raise BuildError(
            f"no {' and no '.join(missing)}",
            where=str(project),
            remedy="commit the manifest together with its lockfile",
        )
    return [(project / name).read_bytes() for name in names]
