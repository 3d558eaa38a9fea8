"""Plan 2.6 and 2.7: linters and type checkers, tests and their coverage.

Rules:
1. Commands are the plan's, run with the locked dependencies. All of them run, whatever the first one found.
2. A service without a command is a finding: nothing run is nothing checked.
3. Coverage is read from the file that this run wrote; an older file is removed before.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.source import checkout, toolchain
from roundtrip.errors import BuildError
from roundtrip.plan.model import Service
from roundtrip.release import Release
from roundtrip.toolchain.projects import Toolchain

COVERAGE_FILES = {"python": "coverage.json", "node": "coverage/coverage-summary.json"}
"""Where pytest-cov (`--cov-report=json`) and Jest (`json-summary`) write, below the service."""


def linters(release: Release) -> Inspection:
    """Plan 2.6: ESLint, Ruff and Mypy."""
    source, tools = checkout(release), toolchain(release)
    findings: list[Finding] = []
    seconds: dict[str, Any] = {}
    for name, service in release.plan.services.items():
        found, seconds[name] = _run_all(source, service, service.lint, "lint", tools)
        findings += found
    return Inspection(tuple(findings), {"seconds": seconds})


def tests(release: Release) -> Inspection:
    """Plan 2.7: Jest, react-testing-library and Pytest, with the agreed coverage."""
    source, tools = checkout(release), toolchain(release)
    findings: list[Finding] = []
    seconds: dict[str, Any] = {}
    coverage: dict[str, float | None] = {}
    for name, service in release.plan.services.items():
        file = source / service.path / COVERAGE_FILES[service.toolchain]
        file.unlink(missing_ok=True)
        found, seconds[name] = _run_all(source, service, service.test, "test", tools)
        findings += found
        coverage[name] = _percent(file, service)
        findings += _too_low(coverage[name], file.relative_to(source), service)
    return Inspection(tuple(findings), {"seconds": seconds, "coverage_percent": coverage})


def _run_all(
    source: Path, service: Service, commands: Sequence[Sequence[str]], kind: str, tools: Toolchain
) -> tuple[list[Finding], dict[str, float]]:
    """Run all commands of a service; findings of those that failed, seconds of each."""
    if not commands:
        return [Finding(f"has no {kind} command", f"service {service.path}", "add one to the plan")], {}
    project = source / service.path
    try:
        env = tools.dependencies(project, service.toolchain)
    except BuildError as error:
        return [Finding.of(error)], {}
    findings, seconds = [], {}
    for command in commands:
        started = time.monotonic()
        try:
            tools.run(command, project, env)
        except BuildError as error:
            findings.append(Finding(error.what, service.path, error.remedy))
        seconds[" ".join(command)] = round(time.monotonic() - started, 1)
    return findings, seconds


def _percent(file: Path, service: Service) -> float | None:
    """Lines that the tests reached, in percent; None when the run wrote no such number."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        percent = (
            data["total"]["lines"]["pct"]
            if service.toolchain == "node"
            else data["totals"]["percent_covered"]
        )
        number = float(percent)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return round(number, 2) if math.isfinite(number) else None


def _too_low(percent: float | None, file: Path, service: Service) -> list[Finding]:
    if service.coverage_percent == 0:
        return []
    if percent is None:
        return [Finding("the tests wrote no coverage", str(file), "let the test command write it there")]
    if percent < service.coverage_percent:
        what = f"coverage of lines: expected {service.coverage_percent:g} % or more, got {percent:g} %"
        return [Finding(what, service.path, "test what is not reached yet")]
    return []
