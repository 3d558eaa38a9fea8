"""The same release under another number: a commit that changes nothing but the services' versions."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from roundtrip.forge.git import ROUNDTRIP, Git
from roundtrip.plan.model import Plan

AT = datetime(2026, 6, 1, tzinfo=UTC)
"""fixed, so that the commit and what is built of it are always the same"""


def renumbered(repository: Path, plan: Plan, commit: str, version: str) -> str:
    """The commit after `commit` whose services have this version; no branch names it."""
    git = Git(repository, {"GIT_INDEX_FILE": str(repository / "renumbering.index")})
    git.text("read-tree", commit)
    for service in plan.services.values():
        names = ("package.json", "package-lock.json") if service.toolchain == "node" else ("pyproject.toml",)
        for name in names:
            path = f"{service.path}/{name}"
            text = git.text("show", f"{commit}:{path}") + "\n"
            changed = _project(text, plan.to_version, version) if len(names) == 1 else _package(text, version)
            blob = git.text("hash-object", "-w", "--stdin", stdin=changed.encode())
            git.text("update-index", "--cacheinfo", f"100644,{blob},{path}")
    tree = git.text("write-tree")
    return git.dated(ROUNDTRIP, AT).text("commit-tree", tree, "-p", commit, "-m", f"Call it {version}")


def _package(text: str, version: str) -> str:
    data = json.loads(text)
    data["version"] = version
    if "packages" in data:
        data["packages"][""]["version"] = version
    return json.dumps(data, indent=2) + "\n"


def _project(text: str, before: str, version: str) -> str:
    line = f'version = "{before}"\n'
    if text.count(line) != 1:
        raise ValueError(f"expected {line!r} once in pyproject.toml")
    return text.replace(line, f'version = "{version}"\n')
