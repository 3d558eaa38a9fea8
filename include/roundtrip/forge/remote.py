"""A bare repository that is changed only by pushes, each from a clone of its own.

Rules:
1. A push carries the release identity, except one that tries whether it is needed.
2. A push says what it believes to be there; when somebody else was faster, it starts again, a bounded number
   of times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from roundtrip.errors import ForgeError
from roundtrip.forge.git import ROUNDTRIP, Git, refused
from roundtrip.forge.protection import IDENTITY_VARIABLE, REFUSAL

PUSH_ATTEMPTS = 3
"""How often an operation starts again because somebody else pushed in between."""

_OVERTAKEN = (
    "fetch first",
    "non-fast-forward",
    "stale info",
    "cannot lock ref",
    "failed to update ref",
    "incorrect old value",
)
"""How git says that a ref is no longer where the push believes it to be."""


@dataclass(frozen=True)
class Remote:
    """The bare repository `path`, on this machine."""

    path: Path
    clock: Callable[[], datetime]

    @property
    def git(self) -> Git:
        return Git(self.path)

    @property
    def identity(self) -> Path:
        """The file that makes a push ours."""
        return self.path.parent / "release-identity"

    def ref(self, name: str) -> str | None:
        """The object that the ref `name` is at, None when there is no such ref."""
        found = self.git.attempt("rev-parse", "--verify", "--quiet", name)
        return found.stdout.decode().strip() if found.returncode == 0 else None

    @contextmanager
    def clone(self) -> Iterator[Git]:
        """A clone without files, for one operation."""
        with tempfile.TemporaryDirectory(prefix=".clone-", dir=self.path.parent) as folder:
            self.git.text("clone", "--quiet", "--shared", "--no-checkout", str(self.path), folder)
            yield Git(Path(folder)).dated(ROUNDTRIP, self.clock())

    def pushed(self, clone: Git, *arguments: str) -> bool:
        """Whether all of it is there now; False when somebody else moved one of the refs before.

        Raises ForgeError when the remote refuses for another reason.
        """
        push = ("push", "--quiet", "--atomic", "origin", *arguments)
        done = clone.with_env(**{IDENTITY_VARIABLE: str(self.identity)}).attempt(*push)
        if done.returncode == 0:
            return True
        said = done.stderr.decode("utf-8", "replace")
        if any(sign in said for sign in _OVERTAKEN):
            return False
        raise refused(self.path, push, done)

    def pushed_head(self, clone: Git, branch: str) -> str | None:
        """The clone's HEAD once it is on `branch`; None when somebody else pushed to it before."""
        return clone.text("rev-parse", "HEAD") if self.pushed(clone, f"HEAD:refs/heads/{branch}") else None

    def is_refused_without_identity(self, clone: Git, refspec: str) -> bool:
        """Really push, as anybody would. Raises ForgeError when it fails for another reason."""
        push = ("push", "--quiet", "origin", refspec)
        done = clone.attempt(*push)
        if done.returncode == 0:
            return False
        if REFUSAL not in done.stderr.decode("utf-8", "replace"):
            raise refused(self.path, push, done, remedy="this does not prove that the branch is protected")
        return True

    def repeated(self, attempt: Callable[[], str | None], what: str) -> str:
        """The first result of `attempt` that is not None. Raises ForgeError after PUSH_ATTEMPTS."""
        for _ in range(PUSH_ATTEMPTS):
            result = attempt()
            if result is not None:
                return result
        raise ForgeError(
            f"{what}: somebody else pushed in each of {PUSH_ATTEMPTS} attempts",
            where=str(self.path),
            remedy="keep others from pushing and try again",
        )
