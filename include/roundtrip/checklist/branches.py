"""Plan 2.1 and 2.9: the release branch, and the commit on it that is the release candidate.

Rules:
1. The branch is cut by this release, protected, and the protection is tried with a real push. On GitHub it is protected by
   rulesets, which are read back.
2. Once a candidate is chosen the branch is not cut again: what was built and tested stays what is released.
3. A candidate contains main, is the head of its branch, and carries the plan's version in every manifest; what no target runs
   is built of it here, the services by the build section.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.quality import builds
from roundtrip.checklist.source import checkout, inspected_commit
from roundtrip.forge import open_forge
from roundtrip.plan.model import Project
from roundtrip.release import Release
from roundtrip.rollout import on_github


def release_branch(release: Release) -> Inspection:
    """Plan 2.1: branch from main and protect it from direct pushes."""
    forge, names = open_forge(release), release.plan.repository
    chosen = release.ledger.last(release.id, "candidate.chosen")
    commit = chosen.data["commit"] if chosen else forge.cut_release_branch(release.plan.from_version)
    forge.protect(names.release_branch)
    rulesets = on_github.protect(release)
    findings = [
        Finding(
            f"a direct push to '{branch}' went in",
            str(release.repository),
            "protect the branch on the remote, then run this item again",
        )
        for branch in (names.release_branch, names.main_branch)
        if not forge.direct_push_is_refused(branch)
    ]
    facts = {
        "branch": names.release_branch,
        "commit": commit,
        "main": forge.head(names.main_branch),
        "working_branch": names.working_branch,
        "direct_pushes_refused": not findings,
        **({"github_rulesets": rulesets} if rulesets else {}),
    }
    return Inspection(tuple(findings), facts)


def release_candidate(release: Release) -> Inspection:
    """Plan 2.9: choose the commit that everything after is built from."""
    forge, names = open_forge(release), release.plan.repository
    commit, source, projects = inspected_commit(release), checkout(release), release.plan.projects()
    findings = []
    if forge.head(names.release_branch) != commit:
        findings.append(
            Finding(
                f"expected commit {commit}, got {forge.head(names.release_branch)}",
                f"branch {names.release_branch}",
                "somebody moved the branch since it was inspected: run the checklist again",
            )
        )
    if not forge.contains(names.release_branch, forge.head(names.main_branch)):
        findings.append(
            Finding(
                f"'{names.release_branch}' lacks the newest commits of '{names.main_branch}'",
                f"branch {names.release_branch}",
                "main moved since the branch was cut: run the checklist again",
            )
        )
    versions = {name: _version(source / project.path, project) for name, project in projects.items()}
    findings += [
        Finding(
            f"version: expected {release.plan.to_version}, got {version or 'none'}",
            f"{projects[name].path}/{_manifest(projects[name])}",
            "set the version of the release in that manifest",
        )
        for name, version in versions.items()
        if version != release.plan.to_version
    ]
    built = builds(release)
    findings += built.findings
    if not findings:
        _choose(release, commit)
    facts = {"commit": commit, "branch": names.release_branch, "versions": versions, **built.facts}
    return Inspection(tuple(findings), facts)


def _choose(release: Release, commit: str) -> None:
    chosen = release.ledger.last(release.id, "candidate.chosen")
    if chosen is None or chosen.data["commit"] != commit:
        data = {"commit": commit, "branch": release.plan.repository.release_branch}
        release.ledger.append(release.id, "candidate.chosen", data)


def _manifest(project: Project) -> str:
    return "package.json" if project.toolchain == "node" else "pyproject.toml"


def _version(folder: Path, project: Project) -> str | None:
    """The version that a project states of itself, None when there is none to be read."""
    manifest = folder / _manifest(project)
    if not manifest.is_file():
        return None
    try:
        text = manifest.read_text(encoding="utf-8")
        data = json.loads(text) if project.toolchain == "node" else tomllib.loads(text)
    except ValueError:
        return None
    version = data.get("version") if project.toolchain == "node" else data.get("project", {}).get("version")
    return version if isinstance(version, str) else None
