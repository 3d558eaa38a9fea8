"""A version that was released and taken back can be released again: its tag and its release are set aside, not changed.

Rules:
1. Something is set aside only if every release that had this commit as its candidate ended ROLLED BACK or STOPPED.
   One that was promoted, broke, or has not ended keeps it, and what is there of unknown origin stays too.
2. What is set aside stays as it was signed: the tag under `refs/withdrawn/`, the release under `withdrawn/`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from roundtrip.forge import open_forge
from roundtrip.forge.git import Git
from roundtrip.release import Release

log = logging.getLogger(__name__)

TAKEN_BACK = ("ROLLED BACK", "STOPPED")
"""Values of `release.outcome` after which nothing of the release is in use."""


def withdraw_tag(release: Release, name: str, commit: str) -> None:
    """Set the tag `name` aside if it is of another commit, whose releases were all taken back."""
    asked = Git(release.repository).attempt(
        "rev-parse", "--verify", "--quiet", f"refs/tags/{name}^{{commit}}"
    )
    tagged = asked.stdout.decode().strip()
    if asked.returncode != 0 or tagged == commit:
        return
    owner = taken_back(release, tagged)
    if owner is not None and open_forge(release).withdraw_tag(name, owner):
        _record(release, name, tagged, owner, f"refs/withdrawn/{owner}/{name}")


def withdraw_folder(release: Release, folder: Path, commit: str) -> bool:
    """Set the published `folder` of `commit` aside if its releases were all taken back; whether it was."""
    owner = taken_back(release, commit)
    if owner is None:
        return False
    aside = release.home.releases / "withdrawn" / owner / folder.name
    aside.parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while aside.exists():
        number += 1
        aside = aside.with_name(f"{folder.name}.{number}")
    folder.rename(aside)
    _record(release, folder.name, commit, owner, str(aside.relative_to(release.home.releases)))
    return True


def taken_back(release: Release, commit: str) -> str | None:
    """The newest other release of `commit`, if all of them were taken back; None if one was not, or there is none."""
    chosen = release.ledger.events(kind="candidate.chosen")
    others = [e.release for e in chosen if e.data.get("commit") == commit and e.release != release.id]
    for other in others:
        outcome = release.ledger.last(other, "release.outcome")
        if outcome is None or outcome.data.get("outcome") not in TAKEN_BACK:
            return None
    return others[-1] if others else None


def _record(release: Release, name: str, commit: str, owner: str, kept: str) -> None:
    data = {"tag": name, "commit": commit, "of_release": owner, "kept_as": kept}
    release.ledger.append(release.id, "sign.withdrawn", data)
    log.info("%s of release %s, which was taken back, is set aside as %s", name, owner, kept)
