"""Plan 3.3: attach the signed artefacts to the release, in a folder laid out like a GitHub release.

Rules:
1. A release is published whole or not at all: the folder is written beside and renamed.
2. What is published is never changed. Publishing the same again does nothing, something else under the same version
   is refused; a release that was taken back is withdrawn first and stays readable.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

from roundtrip.errors import ArtefactError, PromotionError
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.verification.published import CHECKSUMS

log = logging.getLogger(__name__)


def publish(release: Release) -> None:
    """Publish this release's artefacts under its tag."""
    plan = release.plan
    tagged = release.ledger.last(release.id, "sign.tagged")
    if tagged is None:
        raise PromotionError(
            "the release is not tagged", where=f"release {release.id}", remedy="run tag_release"
        )
    folder = publish_folder(
        release.folder / "artefacts", release.home, plan, plan.to_version, tagged.data["commit"]
    )
    names = sorted(path.name for path in (folder / "assets").iterdir())
    tag = tagged.data["tag"]
    release.ledger.append_once(release.id, "sign.published", tag, {"folder": str(folder), "files": names})
    log.info("published %d files in %s", len(names), folder)


def publish_folder(artefacts: Path, home: Home, plan: Plan, version: str, commit: str) -> Path:
    """Publish `artefacts` as `version`; its folder. Raises ArtefactError when another one is there."""
    tag = f"{plan.repository.tag_prefix}{version}"
    folder = home.releases / tag
    if folder.exists():
        if (folder / "assets" / CHECKSUMS).read_bytes() == (artefacts / CHECKSUMS).read_bytes():
            return folder
        raise ArtefactError(
            f"{tag} is published already, with other content",
            where=str(folder),
            remedy="a published release never changes; release the next version, or withdraw this one",
        )
    home.releases.mkdir(parents=True, exist_ok=True)
    beside = home.releases / f".publishing-{tag}-{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(artefacts, beside / "assets", ignore=shutil.ignore_patterns("*.new"))
    about = {
        "tag_name": tag,
        "name": f"{plan.platform} {version}",
        "version": version,
        "target_commitish": commit,
    }
    (beside / "release.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.rename(folder)
    return folder
