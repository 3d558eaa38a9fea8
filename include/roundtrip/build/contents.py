"""What goes into a bundle: the built files that the plan names, dependencies, run script, list of variables.

Rules:
1. The plan's `include` says which built files go where; nothing leads out of the project or out of the bundle.
2. Dependencies are those of the lockfile without what only building and testing needs: `site/` for Poetry projects,
   `node_modules/` for npm's. Each is installed by hash from the lock.
3. Left out is what says how, when and where something was installed or compiled, and not what it is.
4. Run script and configuration (plan 2.9) are `bin/run` and `conf/variables.env`, which has no values.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from roundtrip.errors import BuildError
from roundtrip.plan.model import Bundle, Plan
from roundtrip.targets.bundles import Manifest
from roundtrip.toolchain.projects import Toolchain

LEFT_OUT = (
    "__pycache__", "*.pyc", ".bin", ".cache", ".roundtrip-lock", ".package-lock.json",
    "_virtualenv*", "distutils-precedence.pth",
)  # fmt: skip
"""Byte code, links to programs, caches, and what virtual environments and npm note about an installation."""

INSTALLER_TRACES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json")
"""Files of a dist-info that say how and where it was installed, not what it is."""

NPM_FILES = ("package.json", "package-lock.json", ".npmrc")


def stage(manifest: Manifest, plan: Plan, project: Path, staged: Path, tools: Toolchain) -> Path:
    """Lay the contents of the bundle of the built `project` into `staged`. Raises BuildError."""
    bundle = plan.services[manifest.service].bundle
    staged.mkdir(parents=True)
    _add_dependencies(bundle, project, staged, tools)
    for pattern, place in bundle.include.items():
        _include(project, pattern, staged, place)
    _write(staged / "bin" / "run", _run_script(manifest), is_executable=True)
    _write(staged / "conf" / "variables.env", _variables(manifest, plan))
    return staged


def _add_dependencies(bundle: Bundle, project: Path, staged: Path, tools: Toolchain) -> None:
    if bundle.dependencies == "npm":
        _production_modules(project, staged / "node_modules", tools)
    if bundle.dependencies == "poetry":
        _site(project, staged / "site", tools)


def _production_modules(project: Path, place: Path, tools: Toolchain) -> None:
    """npm installs beside the project, which keeps the modules that it was built with."""
    alone = place.parent.with_name("production")
    alone.mkdir()
    for name in NPM_FILES:
        if (project / name).is_file():
            shutil.copy2(project / name, alone / name)
    tools.dependencies(alone, "node", development=False)
    shutil.copytree(
        alone / "node_modules", place, ignore=shutil.ignore_patterns(*LEFT_OUT), copy_function=os.link
    )


def _site(project: Path, site: Path, tools: Toolchain) -> None:
    venv = tools.python_environment(project, development=False)
    packages = venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    shutil.copytree(packages, site, ignore=shutil.ignore_patterns(*LEFT_OUT))
    wheels = sorted(project.glob("dist/*.whl"))
    if len(wheels) != 1:
        raise BuildError(
            f"expected one wheel in dist, got {[wheel.name for wheel in wheels]}",
            where=str(project),
            remedy="build it by `poetry build` in the plan's build commands",
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(site)
    for name in INSTALLER_TRACES:
        for trace in site.glob(f"*.dist-info/{name}"):
            trace.unlink()


def _include(project: Path, pattern: str, staged: Path, place: str) -> None:
    """Copy what `pattern` names; of a pattern with wildcards each match goes below `place`."""
    _require_inside(pattern, "source")
    _require_inside(place, "place")
    exact = project / pattern
    found = [exact] if exact.exists() else sorted(project.glob(pattern))
    if not found:
        raise BuildError(
            f"nothing matches {pattern}",
            where=str(project),
            remedy="correct bundle.include in the plan, or the build commands",
        )
    for path in found:
        target = staged / place if path == exact else staged / place / path.name
        for source, name in _files(path):
            _copy(source, target / name if name else target, project)


def _require_inside(path: str, what: str) -> None:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise BuildError(
            f"bundle.include: {what} '{path}' leads outside",
            where="plan",
            remedy="name a path below the service's folder",
        )


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    """The files below `path` with their relative names, `path` itself with an empty one when it is a file."""
    if path.is_file():
        yield path, ""
        return
    for folder, names, files in os.walk(path, followlinks=True):
        names[:] = sorted(name for name in names if not _is_left_out(name))
        for name in sorted(files):
            if not _is_left_out(name):
                file = Path(folder) / name
                yield file, file.relative_to(path).as_posix()


def _is_left_out(name: str) -> bool:
    return any(PurePosixPath(name).match(pattern) for pattern in LEFT_OUT)


def _copy(source: Path, target: Path, project: Path) -> None:
    if not source.resolve().is_relative_to(project.resolve()):
        raise BuildError(
            "a link in the built files leads out of the project",
            where=str(source),
            remedy="build without that link",
        )
    if target.exists() and target.read_bytes() != source.read_bytes():
        raise BuildError(
            f"two sources for one file: {target.name}",
            where=str(source),
            remedy="correct bundle.include in the plan",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # it may be a link into the cache of dependencies
    shutil.copyfile(source, target)
    target.chmod(stat.S_IMODE(source.stat().st_mode))


def _write(place: Path, text: str, *, is_executable: bool = False) -> None:
    """A file of ours; one that the service brought itself is kept."""
    if not place.exists():
        place.parent.mkdir(exist_ok=True)
        place.write_text(text, encoding="utf-8")
        place.chmod(0o755 if is_executable else 0o644)


def _run_script(manifest: Manifest) -> str:
    """For a person who has only the bundle: what a target does from `bundle.json`."""
    words = {"{python}": '"${PYTHON:-python3}"', "{node}": '"${NODE:-node}"'}
    command = " ".join(words.get(word) or shlex.quote(word) for word in manifest.run)
    site = (
        'export PYTHONPATH="$PWD/site" PYTHONDONTWRITEBYTECODE=1\n' if manifest.toolchain == "python" else ""
    )
    return (
        f"#!/bin/sh\n# Starts {manifest.service} {manifest.version}. conf/variables.env lists the variables that it reads.\n"
        f'set -eu\ncd "$(dirname "$0")/.."\n{site}exec {command}\n'
    )


def _variables(manifest: Manifest, plan: Plan) -> str:
    lines = [
        f"# Variables of {manifest.service} {manifest.version}; HOST and PORT besides. Values come from the environment.\n"
    ]
    for name in manifest.environment:
        variable = plan.variables[name]
        kind = ("required" if variable.required else "optional") + (", secret" if variable.secret else "")
        lines.append(f"# {kind}, matches {variable.pattern}\n{name}=\n")
    return "".join(lines)
