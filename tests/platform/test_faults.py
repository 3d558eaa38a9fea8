"""The faults are patches that fit the tree of 1.1.0, as it is laid, and change nothing but the api's sources."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from roundtrip.forge.laying import PLATFORM
from tests.platform.conftest import PLAN

FAULTS = PLATFORM / "faults"
NAMES = ("crash", "errors", "latency")
PATCHES = [f"{name}{where}" for name in NAMES for where in ("", "-production")]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Path:
    """1.1.0 in a clone, to be changed."""
    branch = PLAN.repository.working_branch
    git(tmp_path, "clone", "--quiet", "--branch", branch, str(repository), "clone")
    return tmp_path / "clone"


def test_there_is_each_fault_for_everywhere_and_for_production() -> None:
    assert sorted(path.stem for path in FAULTS.glob("*.patch")) == sorted(PATCHES)


@pytest.mark.parametrize("patch", PATCHES)
def test_a_patch_applies_cleanly_and_changes_only_sources_of_the_api(clone: Path, patch: str) -> None:
    git(clone, "apply", "--index", "--whitespace=error", str(FAULTS / f"{patch}.patch"))
    changed = git(clone, "diff", "--cached", "--name-only").split()
    assert len(changed) == 2, changed
    assert all(re.fullmatch(r"api/src/[a-z-]+\.ts", path) for path in changed), changed


@pytest.mark.parametrize("name", NAMES)
def test_the_patch_for_production_is_the_same_bug_behind_one_condition(name: str) -> None:
    everywhere, production = (added(f"{name}{where}") for where in ("", "-production"))
    extra = [line for line in production if line not in everywhere]
    assert [line for line in everywhere if line not in production] == []
    assert len(extra) == 2, extra
    comment, condition = (line.strip() for line in extra)
    assert comment.startswith("// ")
    assert condition.startswith('if (process.env.DEPLOY_ENV !== "production") return')


def test_the_readme_names_each_fault() -> None:
    text = (FAULTS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE) == ["errors", "latency", "crash"]


def added(patch: str) -> list[str]:
    lines = (FAULTS / f"{patch}.patch").read_text(encoding="utf-8").splitlines()
    return [line[1:] for line in lines if line.startswith("+") and not line.startswith("+++")]
