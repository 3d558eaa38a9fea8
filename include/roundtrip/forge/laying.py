"""Lays the platform into a git repository with a bare remote: the repository that a release works on.

Rules:
1. `main` is `base/` in one commit, tagged with the stable version; the working branch is `upgrade-…/` laid
   over it, in one commit more; a fault is one further commit, made from its patch.
2. The same content gives the same commit ids, everywhere and always: authors and dates are fixed.
3. Laid again, the history on `main` stays: only the working branch moves, to the change that is asked for
   now.
4. A remote whose stable version is another one is set aside, never altered.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock

from roundtrip.errors import ForgeError
from roundtrip.forge.git import Git, Person
from roundtrip.forge.tags import tag_object
from roundtrip.plan.model import Plan

PLATFORM = Path(__file__).resolve().parents[2] / "platform"
_TEAM = Person("Top Tier Trading", "engineering@toptier.example")
_STABLE_AT = datetime(2026, 1, 12, 9, tzinfo=UTC)
_CHANGE_AT = _STABLE_AT + timedelta(days=90)
_FAULT_AT = _CHANGE_AT + timedelta(days=1)
_LOCK_SECONDS = 120.0

_NEVER_COMMITTED = """\
node_modules/
.next/
dist/
coverage/
coverage.json
coverage.xml
.coverage
__pycache__/
.venv/
.*_cache/
*.tsbuildinfo
next-env.d.ts
.env
conf/secrets.env
"""
"""What building and testing leave in the platform's folders on a developer's machine."""


def lay_platform(remote: Path, plan: Plan, *, fault: str = "", source: Path = PLATFORM) -> str:
    """Lay `source` into the bare repository `remote`; the head of the working branch. Raises ForgeError."""
    remote.parent.mkdir(parents=True, exist_ok=True)
    with (
        FileLock(remote.parent / ".laying.lock", timeout=_LOCK_SECONDS),
        tempfile.TemporaryDirectory(prefix=".laying-", dir=remote.parent) as scratch,
    ):
        made = Path(scratch) / "remote.git"
        stable, working = _make(made, source, plan, fault)
        tag = f"{plan.repository.tag_prefix}{plan.from_version}"
        if remote.is_dir() and _commit_of_tag(Git(remote), tag) != stable:
            _set_aside(remote)
        if remote.is_dir():
            branch = plan.repository.working_branch
            Git(remote).text("fetch", "--quiet", str(made), f"+refs/heads/{branch}:refs/heads/{branch}")
        else:
            made.rename(remote)
    return working


def faults(source: Path = PLATFORM) -> list[str]:
    """Names of the faults that a working branch can carry."""
    return sorted(patch.stem for patch in (source / "faults").glob("*.patch"))


def _make(repository: Path, source: Path, plan: Plan, fault: str) -> tuple[str, str]:
    """A new bare repository with both branches and the tag; the commits of `main` and the working branch."""
    repository.mkdir()
    names = plan.repository
    git = Git(repository, {"GIT_INDEX_FILE": str(repository / "laying.index")})
    git.text("init", "--quiet", "--bare", f"--initial-branch={names.main_branch}")
    (repository / "info" / "exclude").write_text(_NEVER_COMMITTED)

    _add(git, source / "base")
    stable = _commit(git, f"{plan.platform} {plan.from_version}", _STABLE_AT)
    git.text("update-ref", f"refs/heads/{names.main_branch}", stable)
    tag = f"{names.tag_prefix}{plan.from_version}"
    tagged = git.text("mktag", stdin=tag_object(tag, stable, f"{plan.platform} {tag}", _TEAM, _STABLE_AT))
    git.text("update-ref", f"refs/tags/{tag}", tagged)

    change = source / f"upgrade-{plan.to_version}"
    _add(git, change)
    _remove_deleted(git, change / ".deleted")
    working = _commit(git, f"{plan.platform} {plan.to_version}", _CHANGE_AT, stable)
    if fault:
        _with_files(git, change).text("apply", "--cached", str(_patch(source, fault)))
        working = _commit(git, f"Change '{fault}'", _FAULT_AT, working)
    git.text("update-ref", f"refs/heads/{names.working_branch}", working)
    (repository / "laying.index").unlink()
    return stable, working


def _add(git: Git, folder: Path) -> None:
    """Everything in `folder` into the index, over what is there."""
    if not folder.is_dir():
        raise ForgeError("no such folder", where=str(folder), remedy="lay a platform that has this version")
    _with_files(git, folder).text("add", "--ignore-removal", ".")


def _with_files(git: Git, folder: Path) -> Git:
    """The same repository and index, with `folder` as its work tree."""
    return Git(folder, {**git.env, "GIT_DIR": str(git.folder), "GIT_WORK_TREE": str(folder)})


def _remove_deleted(git: Git, listing: Path) -> None:
    if not listing.is_file():
        return
    paths = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    _with_files(git, listing.parent).text("update-index", "--force-remove", "--", *paths, listing.name)


def _commit(git: Git, message: str, at: datetime, *parents: str) -> str:
    named = [part for parent in parents for part in ("-p", parent)]
    tree = git.text("write-tree")
    return git.dated(_TEAM, at).text("commit-tree", tree, *named, "-m", message)


def _patch(source: Path, fault: str) -> Path:
    if fault not in faults(source):
        raise ForgeError(
            f"no fault '{fault}', known: {', '.join(faults(source)) or 'none'}",
            where=str(source / "faults"),
            remedy="name one of them, or add a patch",
        )
    return source / "faults" / f"{fault}.patch"


def _commit_of_tag(git: Git, tag: str) -> str | None:
    found = git.attempt("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
    return found.stdout.decode().strip() if found.returncode == 0 else None


def _set_aside(remote: Path) -> None:
    head = Git(remote).attempt("rev-parse", "--short=12", "HEAD").stdout.decode().strip() or "empty"
    for number in range(1, 1000):
        aside = remote.with_name(f"{remote.stem}-{head}-{number}.git")
        if not aside.exists():
            remote.rename(aside)
            return
    raise ForgeError(
        "999 earlier repositories lie beside it", where=str(remote), remedy="delete those that are not needed"
    )
