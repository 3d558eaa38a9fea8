"""What the checklist built of the projects that no target runs: part of the zip and of the SBOM (plan 2.9).

Rules:
1. The ledger has the files and their digests. One that is missing, or is another one by now, ends the step.
2. A drill has no checklist, and publishes nothing: its zip has services only.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import ArtefactError, PromotionError
from roundtrip.release import Release
from roundtrip.targets.bundles import file_digest

log = logging.getLogger(__name__)

AGAIN = "clear the item release_candidate in the UI, and what follows it"


@dataclass(frozen=True)
class Made:
    """What one project's build made."""

    project: str
    files: Mapping[str, Path]
    """by their paths in the platform"""


def made(release: Release) -> list[Made]:
    """What each project made that says where. Raises PromotionError before it was built, ArtefactError."""
    outputs = {name: p for name, p in release.plan.undeployed.items() if p.output is not None}
    if outputs and release.is_drill:
        log.info("a drill has no checklist: its zip lacks %s", ", ".join(outputs))
        return []
    return [
        Made(name, {f"{p.path}/{p.output}/{path}": file for path, file in _verified(release, name).items()})
        for name, p in outputs.items()
    ]


def _verified(release: Release, project: str) -> dict[str, Path]:
    """The files of a project as they were recorded last, by their paths below its output."""
    events = release.ledger.events(release.id, kind="checklist.made")
    recorded = [e.data["files"] for e in events if e.data["project"] == project]
    if not recorded:
        raise PromotionError(f"{project} was not built by this release", where=release.id, remedy=AGAIN)
    files = {path: release.made / project / path for path in recorded[-1]}
    for path, digest in recorded[-1].items():
        if not files[path].is_file() or file_digest(files[path]) != digest:
            raise ArtefactError(
                f"expected {digest} as this release has built it, got another file or none",
                where=str(files[path]),
                remedy=AGAIN,
            )
    return files
