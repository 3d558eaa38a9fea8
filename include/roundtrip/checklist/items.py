"""The nine items of the checklist as tasks, and the report that ends it.

Rules:
1. An item records what it found and goes on; only the report stops the release, with all findings of all
   items.
2. An error met while inspecting is a finding that stops, unless trying again may help: then the task is tried
   again.
3. An item that left nothing in the ledger was not inspected, and that stops the release.
4. An item that ran again counts as it was found last; its events are `item`, `item#2` and so on.
5. `checklist.passed` in the ledger is what lets a release go on: it is there only after a report without
   findings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from roundtrip.checklist import branches, dependencies, files, quality
from roundtrip.checklist import containers as container_builds
from roundtrip.checklist import secrets as secrets_item
from roundtrip.checklist.finding import Finding, Inspection, Severity
from roundtrip.checklist.source import install, last_inspection
from roundtrip.errors import FindingsError, RoundtripError
from roundtrip.release import Release

log = logging.getLogger(__name__)

Inspect = Callable[[Release], Inspection]

SENTENCES: Mapping[str, str] = {
    "release_branch": "2.1 Branch from main into the release branch and protect it from direct pushes.",
    "audit_dependencies": "2.2 Review package.json, poetry.lock and Dockerfiles for outdated packages; lockfiles.",
    "secrets": "2.3 Fill in all required variables. Avoid committing secrets to version control.",
    "manifests": "2.4 Apply the changes to docker-compose.yml, k8s/deployment.yaml and Terraform scripts.",
    "code_changes": "2.5 Implement code changes.",
    "linters": "2.6 Execute ESLint for the API and UI, Ruff and Mypy for Python services.",
    "tests": "2.7 Run Jest, react-testing-library and Pytest. Ensure coverage meets the agreed threshold.",
    "containers": "2.8 Run docker compose build. Confirm that images build and variables are consumed.",
    "release_candidate": "2.9 Build a release candidate: the commit that everything after is built from.",
}
"""Item -> the plan's sentence."""


def release_branch(release: Release) -> None:
    """Plan 2.1."""
    _record(release, "release_branch", branches.release_branch)


def prepare(release: Release) -> None:
    """Check out the release branch and install what its projects need."""
    log.info("the release branch is checked out in %s", install(release))


def audit_dependencies(release: Release) -> None:
    """Plan 2.2."""
    _record(release, "audit_dependencies", dependencies.audit_dependencies)


def secrets(release: Release) -> None:
    """Plan 2.3."""
    _record(release, "secrets", secrets_item.secrets)


def manifests(release: Release) -> None:
    """Plan 2.4."""
    _record(release, "manifests", files.manifests)


def code_changes(release: Release) -> None:
    """Plan 2.5."""
    _record(release, "code_changes", files.code_changes)


def linters(release: Release) -> None:
    """Plan 2.6."""
    _record(release, "linters", quality.linters)


def tests(release: Release) -> None:
    """Plan 2.7."""
    _record(release, "tests", quality.tests)


def containers(release: Release) -> None:
    """Plan 2.8."""
    _record(release, "containers", container_builds.containers)


def release_candidate(release: Release) -> None:
    """Plan 2.9."""
    _record(release, "release_candidate", branches.release_candidate)


def report(release: Release) -> None:
    """Raises FindingsError with every finding that stops the release, else records that it passed."""
    stops: list[str] = []
    not_checked: list[str] = []
    for item in SENTENCES:
        event = last_inspection(release, item)
        if event is None:
            stops.append(f"[{item}] was not inspected")
            continue
        if not event.data["checked"]:
            not_checked.append(item)
            log.warning("[%s] %s", item, event.data["reason"])
        for finding in event.data["findings"]:
            line = f"[{item}] {finding['where']}: {finding['what']} -> {finding['remedy']}"
            if finding["severity"] == Severity.NOTE.value:
                log.warning("%s", line)
            else:
                stops.append(line)
    if stops:
        raise FindingsError(
            f"{len(stops)} finding{'s' if len(stops) > 1 else ''} stop the release:\n  " + "\n  ".join(stops),
            where=release.id,
            remedy="mend them on the working branch and release again; nothing was built or deployed",
        )
    passed = {"items": list(SENTENCES), "not_checked": not_checked}
    release.ledger.append_once(release.id, "checklist.passed", "checklist", passed)


def _record(release: Release, item: str, inspect: Inspect) -> None:
    log.info("%s", SENTENCES[item])
    try:
        found = inspect(release)
    except RoundtripError as error:
        if error.retriable:
            raise
        found = Inspection((Finding.of(error),))
    earlier = sum(e.data["item"] == item for e in release.ledger.events(release.id, kind="checklist.item"))
    release.ledger.append_once(
        release.id,
        "checklist.item",
        f"{item}#{earlier + 1}" if earlier else item,
        {
            "item": item,
            "sentence": SENTENCES[item],
            "checked": found.not_checked is None,
            "reason": found.not_checked,
            "findings": [finding.to_json() for finding in found.findings],
            "facts": dict(found.facts),
        },
    )
    for finding in found.findings:
        log.warning("%s: %s: %s -> %s", finding.severity.value, finding.where, finding.what, finding.remedy)
    log.info("%s: %s", item, found.not_checked or f"{len(found.findings)} findings")
