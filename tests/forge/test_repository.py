"""The release branch, its protection, the merge and the way back, against a real bare repository."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roundtrip.errors import ForgeError
from roundtrip.forge.backlog import BacklogItem, read
from roundtrip.forge.git import Git
from roundtrip.forge.laying import lay_platform
from roundtrip.forge.remote import Remote
from roundtrip.forge.repository import Forge
from roundtrip.plan.model import Plan
from tests.forge.conftest import files
from tests.forge.test_laying import BASE, CHANGED

RELEASE = "release/v1.1.0"


def test_the_release_branch_has_main_and_the_change(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    assert forge.head(RELEASE) == commit
    assert forge.contains(RELEASE, forge.head("main"))
    assert forge.contains(RELEASE, forge.head("upgrade/1.1.0"))
    assert files(forge, commit) == CHANGED


def test_what_came_to_main_meanwhile_is_in_the_release_branch(forge: Forge, push) -> None:
    push("main", "hotfix.txt", "mended")
    assert files(forge, forge.cut_release_branch("1.0.0")) == {**CHANGED, "hotfix.txt": "mended"}


def test_a_conflict_with_main_is_reported_in_gits_words(forge: Forge, push) -> None:
    push("main", "app.txt", "one\n2\nthree\n")
    with pytest.raises(ForgeError, match=r"CONFLICT .*app\.txt"):
        forge.cut_release_branch("1.0.0")


def test_cut_twice_also_at_once_the_branch_is_the_same(forge: Forge) -> None:
    with ThreadPoolExecutor(4) as pool:
        commits = {
            done.result() for done in [pool.submit(forge.cut_release_branch, "1.0.0") for _ in range(4)]
        }
    assert commits == {forge.head(RELEASE)}


def test_a_direct_push_goes_in_before_and_is_refused_after_protection(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    assert not forge.direct_push_is_refused(RELEASE)
    assert forge.head(RELEASE) == commit
    forge.protect(RELEASE)
    forge.protect(RELEASE)
    assert forge.direct_push_is_refused(RELEASE)
    assert forge.direct_push_is_refused("main")
    assert forge.head(RELEASE) == commit
    assert not forge.direct_push_is_refused("upgrade/1.1.0")


@pytest.mark.parametrize("identity", ["", "wrong\n"])
def test_a_wrong_identity_is_none(forge: Forge, tmp_path: Path, identity: str) -> None:
    commit = forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    wrong = tmp_path / "wrong"
    wrong.write_text(identity)
    git = Git(forge.remote).with_env(ROUNDTRIP_IDENTITY_FILE=str(wrong))
    done = git.attempt("push", str(forge.remote), f"{forge.head('main')}:refs/heads/{RELEASE}", "--force")
    assert done.returncode != 0
    assert b"is protected" in done.stderr
    assert forge.head(RELEASE) == commit


def test_a_protected_branch_and_a_version_tag_cannot_be_deleted_or_moved(forge: Forge) -> None:
    forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    for refspec in (
        f":refs/heads/{RELEASE}",
        ":refs/tags/v1.0.0",
        f"+{forge.head(RELEASE)}:refs/tags/v1.0.0",
    ):
        done = Git(forge.remote).attempt("push", str(forge.remote), refspec)
        assert b"is protected" in done.stderr, refspec


def test_a_global_hooks_path_does_not_switch_protection_off(forge: Forge, tmp_path: Path) -> None:
    forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {tmp_path / 'no-hooks'}\n")
    git = Git(forge.remote).with_env(GIT_CONFIG_GLOBAL=str(tmp_path / "gitconfig"))
    done = git.attempt("push", str(forge.remote), f":refs/heads/{RELEASE}")
    assert b"is protected" in done.stderr


def test_the_identity_is_for_its_owner_only_and_not_in_the_repository(forge: Forge) -> None:
    forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    identity = forge.remote.parent / "release-identity"
    assert identity.stat().st_mode & 0o077 == 0
    assert identity.read_text() not in (forge.remote / "config").read_text()


def test_a_push_that_fails_for_another_reason_proves_nothing(forge: Forge) -> None:
    forge.cut_release_branch("1.0.0")
    hook = forge.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho the disk is full >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ForgeError, match="the disk is full"):
        forge.direct_push_is_refused(RELEASE)


def test_merged_once_however_often_it_is_asked_for(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(forge.merge_to_main, RELEASE, commit) for _ in range(4)]
        merges = {done.result() for done in asked}
    assert merges == {forge.head("main")}
    git = Git(forge.remote)
    assert git.text("rev-parse", "main^2") == commit
    assert git.text("rev-list", "--count", "--first-parent", "v1.0.0..main") == "1"
    assert files(forge, forge.head("main")) == CHANGED


def test_what_is_merged_is_the_commit_that_was_asked_for_wherever_its_branch_is_by_now(
    forge: Forge, push
) -> None:
    tested = forge.cut_release_branch("1.0.0")
    push("release/v1.1.0", "later.txt", "not tested")
    forge.merge_to_main(RELEASE, tested)
    assert files(forge, forge.head("main")) == CHANGED


def test_taken_back_once_main_is_what_it_was(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    forge.merge_to_main(RELEASE, commit)
    with ThreadPoolExecutor(4) as pool:
        reverts = {done.result() for done in [pool.submit(forge.take_back_merge, commit) for _ in range(4)]}
    assert reverts == {forge.head("main")}
    assert files(forge, forge.head("main")) == BASE


def test_a_merge_that_was_taken_back_is_not_taken_for_merged(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    forge.merge_to_main(RELEASE, commit)
    forge.take_back_merge(commit)
    with pytest.raises(ForgeError, match="was taken back by"):
        forge.merge_to_main(RELEASE, commit)


def test_what_was_taken_back_before_it_was_merged_cannot_be_merged_any_more(forge: Forge) -> None:
    commit = forge.cut_release_branch("1.0.0")
    forge.take_back_merge(commit)
    with pytest.raises(ForgeError, match="was taken back by"):
        forge.merge_to_main(RELEASE, commit)
    assert files(forge, forge.head("main")) == BASE


def test_a_merge_that_is_pushed_after_it_was_taken_back_is_refused(forge: Forge) -> None:
    """A task's process that lives on although Airflow has given it up: it has merged, and pushes late."""
    commit = forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    is_late = True

    class Late(Remote):
        def pushed_head(self, clone: Git, branch: str) -> str | None:
            nonlocal is_late
            if is_late:
                is_late = False
                forge.take_back_merge(commit)
            return super().pushed_head(clone, branch)

    class LateForge(Forge):
        @property
        def _remote(self) -> Remote:
            return Late(self.remote, self.clock)

    with pytest.raises(ForgeError, match="was taken back by"):
        LateForge(forge.remote, forge.names).merge_to_main(RELEASE, commit)
    assert not is_late
    assert files(forge, forge.head("main")) == BASE


def test_after_a_faulty_release_was_taken_back_the_mended_change_is_whole_again(
    forge: Forge, source: Path, plan: Plan
) -> None:
    lay_platform(forge.remote, plan, fault="errors", source=source)
    faulty = forge.cut_release_branch("1.0.0")
    forge.protect(RELEASE)
    forge.merge_to_main(RELEASE, faulty)
    forge.take_back_merge(faulty)

    lay_platform(forge.remote, plan, source=source)
    mended = forge.cut_release_branch("1.0.0")
    assert files(forge, mended) == CHANGED
    assert Git(forge.remote).text("rev-parse", f"refs/cut/{faulty}") == faulty
    forge.merge_to_main(RELEASE, mended)
    assert files(forge, forge.head("main")) == CHANGED


def test_a_checkout_has_the_files_and_nothing_else(forge: Forge, tmp_path: Path) -> None:
    folder = tmp_path / "checkouts" / "source"
    main, working = forge.head("main"), forge.head("upgrade/1.1.0")
    forge.checkout(main, folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(BASE)
    (folder / "node_modules").mkdir()
    forge.checkout(main, folder)
    assert (folder / "node_modules").is_dir(), "the same commit is kept with what was installed into it"
    forge.checkout(working, folder)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == set(CHANGED)


def test_backlog_items_are_added_once_and_numbered(forge: Forge) -> None:
    one, two = (BacklogItem(key, f"title {key}", "body", ("release",)) for key in ("r1/a", "r1/b"))
    assert forge.backlog([one]) == (1,)
    assert forge.backlog([two, one]) == (2, 1)
    assert [entry["title"] for entry in read(forge.remote.parent / "backlog.json")] == [
        "title r1/a",
        "title r1/b",
    ]


def test_a_damaged_backlog_is_not_overwritten(forge: Forge) -> None:
    path = forge.remote.parent / "backlog.json"
    path.write_text("[{")
    with pytest.raises(ForgeError, match="is not JSON"):
        forge.backlog([BacklogItem("k", "t", "b")])
    assert path.read_text() == "[{"
