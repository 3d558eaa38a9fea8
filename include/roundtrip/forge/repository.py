"""The forge: what a release does to the platform's repository.

Rules:
1. Every change goes to the remote by a push, so that protection applies to us as to everybody; only the
   release identity opens a protected branch.
2. Every operation may run twice, or twice at once, and leaves one result: it looks for its own result first,
   works in a clone of its own, and a push that came second looks again.
3. The release branch is `main` with the working branch's change since the stable version, whatever became of
   earlier releases: a change that was merged and taken back before is in it again.
4. History is never rewritten: a merge is taken back by a revert, a withdrawn tag or a branch cut anew keeps a
   ref.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from roundtrip.errors import ForgeError
from roundtrip.forge import backlog, checkouts, protection, tags
from roundtrip.forge.git import ROUNDTRIP, Git, refused
from roundtrip.forge.remote import Remote
from roundtrip.plan.model import Plan, Repository

TAKES_BACK = "Takes-Back"
"""Trailer of a commit on main: the head of the release branch whose merge it takes back."""


class HasRepository(Protocol):
    """What `open_forge` needs of a release."""

    @property
    def repository(self) -> Path: ...

    @property
    def plan(self) -> Plan: ...


def open_forge(release: HasRepository) -> Forge:
    """The forge of a release."""
    return Forge(release.repository, release.plan.repository)


@dataclass(frozen=True)
class Forge:
    """A bare repository, and the names that the plan gives to its branches."""

    remote: Path
    names: Repository
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def head(self, branch: str) -> str:
        """The commit that `branch` is at. Raises ForgeError when there is no such branch."""
        found = self._ref(f"refs/heads/{branch}")
        if found is None:
            raise ForgeError(
                f"no branch '{branch}'",
                where=str(self.remote),
                remedy="create it, or correct the plan's repository",
            )
        return found

    def contains(self, branch: str, commit: str) -> bool:
        """Whether `commit` is in the history of `branch`."""
        return self._git.succeeds("merge-base", "--is-ancestor", commit, self.head(branch))

    def cut_release_branch(self, from_version: str) -> str:
        """Plan 2.1: branch from main, with the working branch's change, and return its commit.

        One of an earlier attempt that is different is replaced; the old one stays under `refs/cut/`.
        """
        ref = f"refs/heads/{self.names.release_branch}"

        def cut() -> str | None:
            main, working = self.head(self.names.main_branch), self.head(self.names.working_branch)
            before = self._ref(ref)
            with self._remote.clone() as clone:
                commit = self._change_on(clone, main, working, from_version)
                if before == commit:
                    return commit
                keep = [f"{before}:refs/cut/{before}"] if before else []
                lease = f"--force-with-lease={ref}:{before or ''}"
                return commit if self._remote.pushed(clone, lease, f"+{commit}:{ref}", *keep) else None

        return self._remote.repeated(cut, f"cut of {self.names.release_branch}")

    def protect(self, branch: str) -> None:
        """Refuse direct pushes to `branch`, to main and to version tags."""
        heads = [f"refs/heads/{name}" for name in (branch, self.names.main_branch)]
        protection.protect(
            self.remote, self._remote.identity, *heads, f"refs/tags/{self.names.tag_prefix}[0-9]*"
        )

    def direct_push_is_refused(self, branch: str) -> bool:
        """Try it: push a throwaway commit to `branch` without the release identity; taken back if it went in.

        Raises ForgeError when the push failed for another reason, since that proves nothing.
        """
        ref, before = f"refs/heads/{branch}", self.head(branch)
        with self._remote.clone() as clone:
            tree = clone.text("rev-parse", f"{before}^{{tree}}")
            stray = clone.text("commit-tree", tree, "-p", before, "-m", "A direct push, to be refused")
            if self._remote.is_refused_without_identity(clone, f"{stray}:{ref}"):
                return True
            if not self._remote.pushed(clone, f"--force-with-lease={ref}:{stray}", f"+{before}:{ref}"):
                raise ForgeError(
                    f"a trial push went in and could not be taken back: {stray}",
                    where=f"{branch} in {self.remote}",
                    remedy="remove that commit from the branch, then protect it",
                )
        return False

    def merge_to_main(self, release_branch: str, head: str) -> str:
        """Plan 3.4: merge `head` of the release branch into main; the merge commit, of this or an earlier call."""
        main = self.names.main_branch

        def merge() -> str | None:
            done = self._merge_of(head, release_branch)
            if done is not None:
                return done
            with self._remote.clone() as clone:
                clone.text("checkout", "--quiet", "--detach", f"origin/{main}")
                message = f"Merge branch '{release_branch}' into {main}"
                clone.text("merge", "--quiet", "--no-ff", "--no-edit", "-m", message, head)
                return self._remote.pushed_head(clone, main)

        return self._remote.repeated(merge, f"merge of {release_branch}")

    def take_back_merge(self, head: str) -> str:
        """Have main be without the merge of `head`, for good; the commit that does, of this or an earlier call.

        Where the merge is not there (yet), that commit is empty: whoever is about to push it has built on a main
        that is no more, is refused, looks again, and finds that it was taken back.
        """
        main = self.names.main_branch

        def take_back() -> str | None:
            done = self._taken_back(head)
            if done is not None:
                return done
            with self._remote.clone() as clone:
                clone.text("checkout", "--quiet", "--detach", f"origin/{main}")
                merge = self._merge_commit(clone.text("rev-parse", "HEAD"), head)
                if merge is not None:
                    clone.text("revert", "--no-commit", "--mainline", "1", merge)
                message = f"Take back the merge of {head[:12]}\n\n{TAKES_BACK}: {head}"
                clone.text("commit", "--quiet", "--allow-empty", "-m", message)
                return self._remote.pushed_head(clone, main)

        return self._remote.repeated(take_back, f"taking back of {head}")

    def tag(self, name: str, commit: str, message: str, signing_key: Ed25519PrivateKey | None = None) -> str:
        """Plan 3.3: the annotated tag `name` of `commit`, signed when there is a key; its object id.

        A tag that is there already is kept when it is of this commit and, where a key is given, signed by it.
        """
        ref = f"refs/tags/{name}"
        body = tags.tag_object(name, commit, message, ROUNDTRIP, self.clock())

        def tagged() -> str | None:
            there = self._ref(ref)
            if there is not None:
                self._check_tag(name, commit, signing_key.public_key() if signing_key else None)
                return there
            with self._remote.clone() as clone:
                made = clone.text("mktag", stdin=tags.signed(body, signing_key) if signing_key else body)
                is_there = self._remote.pushed(clone, f"--force-with-lease={ref}:", f"{made}:{ref}")
                return made if is_there else None

        return self._remote.repeated(tagged, f"tag {name}")

    def verify_tag(self, name: str, key: Ed25519PublicKey) -> str:
        """The commit of the tag `name`. Raises ForgeError unless it is signed by `key`."""
        if self._ref(f"refs/tags/{name}") is None:
            raise ForgeError(
                f"no tag '{name}'", where=str(self.remote), remedy="sign and tag the release first"
            )
        body = self._git.data("cat-file", "tag", f"refs/tags/{name}")
        tags.verify(body, key, where=f"tag {name} in {self.remote}")
        return self._git.text("rev-parse", f"refs/tags/{name}^{{commit}}")

    def withdraw_tag(self, name: str, release_id: str) -> bool:
        """Take the tag of a release that was rolled back out of the way: the version can be released again.

        It stays, as it was signed, under `refs/withdrawn/<release_id>/`. False when there is no such tag.
        """
        tagged = self._ref(f"refs/tags/{name}")
        if tagged is None:
            return False
        kept = f"refs/withdrawn/{release_id}/{name}"
        lease = f"--force-with-lease=refs/tags/{name}:{tagged}"

        def withdraw() -> str | None:
            with self._remote.clone() as clone:
                moved = self._remote.pushed(clone, lease, f"{tagged}:{kept}", f":refs/tags/{name}")
                return kept if moved or self._ref(f"refs/tags/{name}") is None else None

        self._remote.repeated(withdraw, f"withdrawal of tag {name}")
        return True

    def checkout(self, commit: str, folder: Path) -> Path:
        """The files of `commit` in `folder`, and nothing else; a checkout of the same commit is kept."""
        return checkouts.checkout(self._git, commit, folder)

    def backlog(self, items: Sequence[backlog.BacklogItem]) -> tuple[int, ...]:
        """Plan 3.5: create backlog tasks; their numbers."""
        return backlog.add(self.remote.parent / "backlog.json", items)

    @property
    def _remote(self) -> Remote:
        return Remote(self.remote, self.clock)

    @property
    def _git(self) -> Git:
        return Git(self.remote)

    def _ref(self, name: str) -> str | None:
        return self._remote.ref(name)

    def _change_on(self, clone: Git, main: str, working: str, from_version: str) -> str:
        """Merge commit of main and working, compared with the fork from the stable version.

        Git's own choice of base is the newest common commit. After a release that was merged and reverted
        that is the change itself, and merging it again would silently bring nothing.
        """
        tag = f"refs/tags/{self.names.tag_prefix}{from_version}"
        if self._ref(tag) is None:
            raise ForgeError(
                f"no tag of the stable version {from_version}",
                where=f"{tag} in {self.remote}",
                remedy="tag it first",
            )
        base = clone.text("merge-base", tag, working)
        clone.text("checkout", "--quiet", "--detach", main)
        merge = ("merge-recursive", base, "--", main, working)
        done = clone.attempt(*merge)
        if done.returncode != 0:
            raise refused(
                self.remote, merge, done, remedy=f"merge {self.names.main_branch} into the working branch"
            )
        newest = max(int(clone.text("show", "-s", "--format=%ct", commit)) for commit in (main, working))
        message = f"Merge branch '{self.names.working_branch}' into {self.names.release_branch}"
        tree = clone.text("write-tree")
        # Dated as its newest parent: the same two heads always give the same commit.
        dated = clone.dated(ROUNDTRIP, datetime.fromtimestamp(newest, UTC))
        return dated.text("commit-tree", tree, "-p", main, "-p", working, "-m", message)

    def _merge_of(self, head: str, branch: str) -> str | None:
        """The merge commit by which `head` came into main, None when it is not there."""
        main = self.names.main_branch
        merge, taken_back = self._merge_commit(self.head(main), head), self._taken_back(head)
        if taken_back is not None:
            why = f"was taken back by {taken_back}"
        elif merge is None and self.contains(main, head):
            why = "is in it, but by no merge commit"
        else:
            return merge
        raise ForgeError(
            f"{branch} {why}",
            where=f"{main} in {self.remote}",
            remedy="cut the release branch anew and release that",
        )

    def _merge_commit(self, main: str, head: str) -> str | None:
        """The first-parent commit of `main` that merged `head`, whatever became of it since."""
        merges = self._git.text("rev-list", "--first-parent", "--merges", "--parents", main).splitlines()
        return next((line.split()[0] for line in merges if head in line.split()[2:]), None)

    def _taken_back(self, head: str) -> str | None:
        main = self.head(self.names.main_branch)
        found = self._git.text("log", "--format=%H", f"--grep=^{TAKES_BACK}: {head}$", main).split()
        return found[0] if found else None

    def _check_tag(self, name: str, commit: str, key: Ed25519PublicKey | None) -> None:
        tagged = self._git.text("rev-parse", f"refs/tags/{name}^{{commit}}")
        if tagged != commit:
            raise ForgeError(
                f"tag {name}: expected commit {commit}, got {tagged}",
                where=str(self.remote),
                remedy="a tag is never moved: withdraw it, or release another version",
            )
        if key is not None:
            self.verify_tag(name, key)
