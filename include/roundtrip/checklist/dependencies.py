"""Plan 2.2: outdated packages, the Node version, and lockfiles in step with their manifests.

Rules:
1. A lockfile that is missing or not in step stops the release; so does a Node older than the plan's.
2. Outdated packages are a note or stop the release, as the plan says ("update only if required by the
   upgrade").
3. Which packages are outdated only the package index knows. Where it cannot be asked, a note says that it was
   not checked and why; that is never the same as "none".
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundtrip.checklist.finding import Finding, Inspection, Severity
from roundtrip.checklist.source import checkout, toolchain
from roundtrip.errors import BuildError
from roundtrip.plan.model import Project
from roundtrip.release import Release
from roundtrip.toolchain.commands import Done, run
from roundtrip.toolchain.programs import uv
from roundtrip.toolchain.projects import Toolchain

ASK_INDEX_SECONDS = 60.0
"""Limit of asking a package index about one project."""
_QUICK_TO_GIVE_UP = {
    "npm_config_fetch_retries": "0",
    "npm_config_fetch_timeout": "15000",
    "UV_HTTP_TIMEOUT": "15",
}


def audit_dependencies(release: Release) -> Inspection:
    """Plan 2.2: review package.json, poetry.lock and Dockerfiles; Node; lockfiles."""
    source, tools, checklist = checkout(release), toolchain(release), release.plan.checklist
    findings = list(_lockfiles(source, checklist.lockfiles, tools))
    findings += _dockerfiles(source, checklist.node_major)
    outdated: dict[str, Any] = {}
    for name, project in release.plan.projects().items():
        if project.toolchain == "node":
            findings += _engines(source / project.path, source, checklist.node_major)
        asked = _outdated(source / project.path, project, tools)
        if isinstance(asked, str):
            outdated[name] = f"not checked: {asked}"
            findings.append(
                Finding.note(
                    f"outdated packages were not checked: {asked}", project.path, "check them by hand"
                )
            )
            continue
        outdated[name] = {package.name: [package.current, package.latest] for package in asked}
        if asked:
            findings.append(_outdated_finding(project.path, asked, Severity(checklist.outdated)))
    return Inspection(tuple(findings), {"node": tools.node.version, "outdated": outdated})


@dataclass(frozen=True)
class Outdated:
    """A direct dependency that has a newer version."""

    name: str
    current: str
    latest: str


def _lockfiles(source: Path, lockfiles: Mapping[str, str], tools: Toolchain) -> Iterator[Finding]:
    for manifest, lockfile in lockfiles.items():
        missing = [name for name in (manifest, lockfile) if not (source / name).is_file()]
        if missing:
            yield Finding(
                f"is missing: {', '.join(missing)}", manifest, "commit the manifest with its lockfile"
            )
            continue
        project = (source / manifest).parent
        if lockfile.endswith("package-lock.json"):
            path, command = (
                tools.node.folder,
                ["npm", "ci", "--dry-run", "--ignore-scripts", "--no-audit", "--no-fund"],
            )
        else:
            path, command = tools.poetry, ["poetry", "check", "--lock"]
        try:
            run(command, project, tools.environment([path]), tools.log, timeout_seconds=ASK_INDEX_SECONDS)
        except BuildError as error:
            yield Finding(
                f"is not in step with its manifest: {error.what}",
                lockfile,
                "regenerate the lockfile and commit it",
            )


def _dockerfiles(source: Path, node_major: int) -> Iterator[Finding]:
    for dockerfile in sorted(source.rglob("Dockerfile*")):
        if "node_modules" in dockerfile.parts:
            continue
        for number, line in enumerate(dockerfile.read_text(encoding="utf-8").splitlines(), 1):
            base = re.search(r"^\s*(?:FROM|ARG)\b.*\bnode:(\d+)", line)
            if base and int(base[1]) < node_major:
                yield Finding(
                    f"base image: expected Node {node_major} or newer, got {base[1]}",
                    f"{dockerfile.relative_to(source)}:{number}",
                    f"base it on Node {node_major}",
                )


def _engines(project: Path, source: Path, node_major: int) -> Iterator[Finding]:
    manifest = project / "package.json"
    where = str(manifest.relative_to(source))
    if not manifest.is_file():
        yield Finding("is missing", where, "add the manifest, or correct the project's path in the plan")
        return
    engines = json.loads(manifest.read_text(encoding="utf-8")).get("engines", {}).get("node", "")
    least = re.search(r"\d+", engines)
    if least is None or int(least[0]) < node_major:
        yield Finding(
            f"engines.node: expected {node_major} or newer, got {engines or 'none'}",
            where,
            f'set it to ">={node_major}"',
        )


def _outdated(folder: Path, project: Project, tools: Toolchain) -> list[Outdated] | str:
    """What is outdated, or the reason why nobody knows."""
    try:
        env = {**tools.dependencies(folder, project.toolchain), **_QUICK_TO_GIVE_UP}
        if project.toolchain == "node":
            done = run(["npm", "outdated", "--json"], folder, env, tools.log,
                       timeout_seconds=ASK_INDEX_SECONDS, accepted=(0, 1))  # fmt: skip
            return _of_npm(done)
        python = tools.python_environment(folder) / "bin" / "python"
        command = [str(uv()), "pip", "list", "--outdated", "--format", "json", "--python", str(python)]
        done = run(command, folder, env, tools.log, timeout_seconds=ASK_INDEX_SECONDS)
        return _of_uv(done, _direct(folder / "pyproject.toml"))
    except BuildError as error:
        return error.what.splitlines()[-1].strip() if "\n" in error.what else error.what


def _of_npm(done: Done) -> list[Outdated] | str:
    answer = _json(done.output, "{") if done.output.strip() else {}
    if not isinstance(answer, dict):
        return "npm gave no answer that can be read"
    if "error" in answer:
        return str(answer["error"].get("summary") or answer["error"].get("code"))
    return [
        Outdated(name, package.get("current", "?"), package["latest"])
        for name, package in sorted(answer.items())
        if package.get("current") != package.get("latest")
    ]


def _of_uv(done: Done, direct: set[str]) -> list[Outdated] | str:
    answer = _json(done.output, "[")
    if not isinstance(answer, list):
        return "uv gave no answer that can be read"
    return [
        Outdated(p["name"], p["version"], p["latest_version"]) for p in answer if _normal(p["name"]) in direct
    ]


def _json(output: str, opening: str) -> Any:
    """The JSON value among other lines of output, None when there is none."""
    start = next(
        (match.start() for match in re.finditer(rf"^{re.escape(opening)}", output, re.MULTILINE)), None
    )
    if start is None:
        return None
    try:
        return json.JSONDecoder().raw_decode(output[start:])[0]
    except ValueError:
        return None


def _direct(pyproject: Path) -> set[str]:
    """Names of the packages that a Poetry project itself asks for."""
    data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    poetry = data.get("tool", {}).get("poetry", {})
    named = [*data.get("project", {}).get("dependencies", [])]
    named += [
        entry
        for group in data.get("dependency-groups", {}).values()
        for entry in group
        if isinstance(entry, str)
    ]
    groups = [poetry, *poetry.get("group", {}).values()]
    named += [name for group in groups for name in group.get("dependencies", {})]
    return {_normal(match[0]) for entry in named if (match := re.match(r"[A-Za-z0-9._-]+", entry))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _outdated_finding(where: str, outdated: list[Outdated], severity: Severity) -> Finding:
    listed = ", ".join(f"{package.name} {package.current} -> {package.latest}" for package in outdated)
    return Finding(
        f"{len(outdated)} outdated: {listed}", where, "update those that the upgrade requires", severity
    )
