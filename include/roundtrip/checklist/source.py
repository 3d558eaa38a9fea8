"""The files that the checklist inspects: the release branch, checked out once for all items.

Rules:
1. Items inspect the commit that the item `release_branch` recorded, whatever became of the branch since.
2. Dependencies are installed beforehand, so that items which run side by side find them; what cannot be
   installed is reported by the items that need it.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from roundtrip.errors import BuildError, ForgeError
from roundtrip.forge import open_forge
from roundtrip.ledger.ledger import Event
from roundtrip.plan.model import Project
from roundtrip.release import Release
from roundtrip.toolchain.projects import Toolchain

log = logging.getLogger(__name__)

INSTALLS_AT_ONCE = 2
"""projects: while one downloads, another one unpacks"""


def toolchain(release: Release) -> Toolchain:
    """The programs that this release's projects are checked with."""
    return Toolchain(release.home.cache, release.plan.checklist.node_major, log.info)


def inspected_commit(release: Release) -> str:
    """The commit that this release's checklist inspects. Raises ForgeError before the branch was cut."""
    event = last_inspection(release, "release_branch")
    commit = event.data["facts"].get("commit") if event else None
    if not isinstance(commit, str):
        raise ForgeError(
            "the release branch was not cut by this release",
            where=f"{release.id}, item release_branch",
            remedy="mend what that item found and run it again",
        )
    return commit


def checkout(release: Release) -> Path:
    """The folder with the files of the inspected commit."""
    return open_forge(release).checkout(inspected_commit(release), release.folder / "source")


def install(release: Release) -> Path:
    """Check out, and install what the projects need as far as that is possible."""
    folder = checkout(release)
    tools = toolchain(release)

    def install_one(name: str, project: Project) -> None:
        try:
            tools.dependencies(folder / project.path, project.toolchain)
        except BuildError as error:
            log.warning(
                "%s: its dependencies cannot be installed, items that need them report it: %s", name, error
            )

    projects = release.plan.projects()
    with ThreadPoolExecutor(INSTALLS_AT_ONCE) as pool:
        list(pool.map(install_one, projects.keys(), projects.values()))  # raises what is no BuildError
    return folder


def last_inspection(release: Release, item: str) -> Event | None:
    """The newest event of an item: an item that ran again counts as it was found last."""
    events = release.ledger.events(release.id, kind="checklist.item")
    return next((event for event in reversed(events) if event.data["item"] == item), None)
