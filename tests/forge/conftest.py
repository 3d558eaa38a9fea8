"""A tiny platform in two versions, laid into a real git repository."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from roundtrip.forge.git import Git, Person
from roundtrip.forge.laying import lay_platform
from roundtrip.forge.repository import Forge
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan

PLAN = Path(__file__).parents[1] / "plan" / "fixtures" / "tiny.yaml"
ANYBODY = Person("Anybody", "anybody@example.com")
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def plan() -> Plan:
    return load_plan(PLAN)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """`app.txt` changes, `old.txt` goes, `new/` comes; one fault, and what building leaves behind."""
    root = tmp_path / "platform"
    base, change = root / "base", root / "upgrade-1.1.0"
    for folder in (base / "node_modules" / "left", change / "new", root / "faults"):
        folder.mkdir(parents=True)
    (base / "app.txt").write_text("one\ntwo\nthree\n")
    (base / "old.txt").write_text("goes away\n")
    (base / "run.sh").write_text("#!/bin/sh\nexit 0\n")
    (base / "run.sh").chmod(0o755)
    (base / "node_modules" / "left" / "over.js").write_text("left over")
    (change / "app.txt").write_text("one\nTWO\nthree\n")
    (change / "new" / "page.txt").write_text("new\n")
    (change / ".deleted").write_text("old.txt\n")
    (root / "faults" / "errors.patch").write_text(
        "--- a/app.txt\n+++ b/app.txt\n@@ -1,3 +1,3 @@\n one\n-TWO\n+BROKEN\n three\n"
    )
    return root


@pytest.fixture
def forge(tmp_path: Path, source: Path, plan: Plan) -> Forge:
    remote = tmp_path / "home" / "platform" / "remote.git"
    lay_platform(remote, plan, source=source)
    seconds = itertools.count()  # no two commits are made at the same time, so they differ unless looked up
    return Forge(remote, plan.repository, clock=lambda: NOON + timedelta(seconds=next(seconds)))


@pytest.fixture
def push(forge: Forge, tmp_path: Path):
    """`push(branch, file, content) -> commit`: what a person does with a clone of their own."""
    clones = iter(range(100))

    def as_anybody(branch: str, file: str, content: str) -> str:
        folder = tmp_path / f"clone{next(clones)}"
        Git(tmp_path).text("clone", "--quiet", "--branch", branch, str(forge.remote), str(folder))
        (folder / file).write_text(content)
        git = Git(folder).dated(ANYBODY, NOON)
        git.text("add", ".")
        git.text("commit", "--quiet", "-m", f"Change {file}")
        git.text("push", "--quiet", "origin", branch)
        return git.text("rev-parse", "HEAD")

    return as_anybody


def files(forge: Forge, commit: str) -> dict[str, str]:
    """Path -> content of every file of a commit."""
    git = Git(forge.remote)
    return {
        path: git.text("show", f"{commit}:{path}")
        for path in git.text("ls-tree", "-r", "--name-only", commit).split()
    }
