"""The platform in git: main is the stable version, the working branch the change, always the same commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.errors import ForgeError
from roundtrip.forge.git import Git
from roundtrip.forge.laying import faults, lay_platform
from roundtrip.forge.repository import Forge
from roundtrip.plan.model import Plan
from tests.forge.conftest import files

BASE = {"app.txt": "one\ntwo\nthree", "old.txt": "goes away", "run.sh": "#!/bin/sh\nexit 0"}
CHANGED = {"app.txt": "one\nTWO\nthree", "new/page.txt": "new", "run.sh": "#!/bin/sh\nexit 0"}


def test_main_is_the_stable_version_at_its_annotated_tag(forge: Forge) -> None:
    git = Git(forge.remote)
    main = forge.head("main")
    assert files(forge, main) == BASE
    assert git.text("cat-file", "-t", "refs/tags/v1.0.0") == "tag"
    assert git.text("rev-parse", "v1.0.0^{commit}") == main
    assert git.text("ls-tree", main, "run.sh").startswith("100755")


def test_the_working_branch_adds_replaces_and_deletes(forge: Forge) -> None:
    assert files(forge, forge.head("upgrade/1.1.0")) == CHANGED
    assert Git(forge.remote).text("rev-list", "--count", "main..upgrade/1.1.0") == "1"


def test_a_fault_is_one_commit_more_and_only_its_patch(forge: Forge, source: Path, plan: Plan) -> None:
    healthy = forge.head("upgrade/1.1.0")
    faulty = lay_platform(forge.remote, plan, fault="errors", source=source)
    assert forge.head("upgrade/1.1.0") == faulty
    assert Git(forge.remote).text("rev-parse", f"{faulty}^") == healthy
    assert files(forge, faulty) == {**CHANGED, "app.txt": "one\nBROKEN\nthree"}
    assert lay_platform(forge.remote, plan, source=source) == healthy


def test_the_same_content_gives_the_same_commits_elsewhere(
    forge: Forge, source: Path, plan: Plan, tmp_path: Path
) -> None:
    other = Forge(tmp_path / "elsewhere" / "remote.git", plan.repository)
    lay_platform(other.remote, plan, source=source)
    for branch in ("main", "upgrade/1.1.0"):
        assert other.head(branch) == forge.head(branch)


def test_laid_again_nothing_changes_and_history_on_main_stays(forge: Forge, source: Path, plan: Plan) -> None:
    commit = forge.cut_release_branch("1.0.0")
    merged = forge.merge_to_main("release/v1.1.0", commit)
    before = Git(forge.remote).text("show-ref")
    lay_platform(forge.remote, plan, source=source)
    assert Git(forge.remote).text("show-ref") == before
    assert forge.head("main") == merged


def test_another_stable_version_sets_the_old_repository_aside(forge: Forge, source: Path, plan: Plan) -> None:
    old_main = forge.head("main")
    (source / "base" / "app.txt").write_text("zero\n")
    lay_platform(forge.remote, plan, source=source)
    assert files(forge, forge.head("main"))["app.txt"] == "zero"
    aside = list(forge.remote.parent.glob("remote-*.git"))
    assert [Git(folder).text("rev-parse", "main") for folder in aside] == [old_main]


def test_an_unknown_fault_is_refused_and_nothing_changes(forge: Forge, source: Path, plan: Plan) -> None:
    before = Git(forge.remote).text("show-ref")
    with pytest.raises(ForgeError, match="no fault 'eror', known: errors"):
        lay_platform(forge.remote, plan, fault="eror", source=source)
    assert Git(forge.remote).text("show-ref") == before
    assert faults(source) == ["errors"]


def test_a_patch_that_does_not_apply_is_refused_and_nothing_changes(
    forge: Forge, source: Path, plan: Plan
) -> None:
    before = Git(forge.remote).text("show-ref")
    (source / "upgrade-1.1.0" / "app.txt").write_text("quite another\n")
    with pytest.raises(ForgeError, match="patch does not apply"):
        lay_platform(forge.remote, plan, fault="errors", source=source)
    assert Git(forge.remote).text("show-ref") == before
