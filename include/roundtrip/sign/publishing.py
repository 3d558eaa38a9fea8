"""Plan 3.3: attach the signed artefacts to the release, in a folder laid out like a GitHub release.

Rules:
1. A release is published whole or not at all: the folder is written beside, flushed to disk, and renamed.
2. Published are the files that `SHA256SUMS` names, itself, their signatures, the statements about them (`attesting`) and the
   public key, and nothing else.
3. What is published is never changed. Publishing the same again does nothing, something else under the same version
   is refused; a release that was taken back is set aside first and stays readable (`withdrawing`).
4. Of a release into containers the images are signed in their registry first (`images`).
5. Where the environment names a repository on GitHub the same goes there, from that folder (`rollout.on_github`).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from roundtrip import durable
from roundtrip.errors import ArtefactError, PromotionError
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout import on_github
from roundtrip.sign.images import sign_images
from roundtrip.sign.signing import PUBLIC_KEY, STAGE
from roundtrip.sign.withdrawing import withdraw_folder
from roundtrip.targets.bundles import file_digest
from roundtrip.verification.attestations import FILES, Expected, verify_attestations
from roundtrip.verification.published import (
    CHECKSUMS,
    load_public_key,
    read_checksums,
    services_of,
    verify_release,
)

log = logging.getLogger(__name__)

CONTENT = (CHECKSUMS, f"{CHECKSUMS}.sig")
"""two releases in which these are the same name the same artefacts, signed by the same key"""
LOCK_SECONDS = 120.0
"""How long one publisher waits for another: longer than copying the largest release."""


def publish(release: Release) -> None:
    """Publish this release's artefacts under its tag, and read them back as a deploy will."""
    plan, artefacts = release.plan, release.folder / "artefacts"
    tagged = release.ledger.last(release.id, "sign.tagged")
    if tagged is None:
        raise PromotionError("the release is not tagged", where=release.id, remedy="run tag_release")
    tag, commit = str(tagged.data["tag"]), str(tagged.data["commit"])
    there = release.home.releases / tag
    # Statements of an earlier release of the same artefacts are about another staging.
    if there.exists() and not _holds(there, artefacts, [*CONTENT, *_statements(artefacts)]):
        withdraw_folder(release, there, _commit_of(there))
    for name in plan.sign.demands.new:
        _present(artefacts / FILES[name])
    sign_images(release)
    folder = publish_folder(artefacts, release.home, plan, plan.to_version, commit)
    trusted = release.secrets(release.environment(STAGE).signing_connection).get("public_key", "")
    key, version = load_public_key(trusted), plan.to_version
    verify_release(folder, version, services_of(plan, version), key)
    verify_attestations(folder / "assets", Expected(plan, version, commit, datetime.now(UTC)), key)
    record_published(release, tag, folder)
    on_github.publish(release)
    on_github.show(release)


def publish_folder(artefacts: Path, home: Home, plan: Plan, version: str, commit: str) -> Path:
    """Publish `artefacts` as `version`; its folder. Raises ArtefactError when another one is there."""
    tag = f"{plan.repository.tag_prefix}{version}"
    folder, beside = home.releases / tag, home.releases / f".publishing-{tag}"
    home.releases.mkdir(parents=True, exist_ok=True)
    with FileLock(home.releases / f".{tag}.lock", timeout=LOCK_SECONDS):
        if folder.exists():
            if _holds(folder, artefacts, CONTENT):
                return folder
            raise ArtefactError(
                f"{tag} is published already, with other content",
                where=str(folder),
                remedy="a published release never changes: release the next version, or take that release back first",
            )
        shutil.rmtree(beside, ignore_errors=True)
        about = {"tag_name": tag, "name": f"{plan.platform} {version}", "version": version}
        _lay(beside, artefacts, {**about, "target_commitish": commit})
        beside.rename(folder)
        durable.sync(home.releases)
    return folder


def record_published(release: Release, tag: str, folder: Path) -> None:
    """Say in the ledger what is published; a deploy compares it with what it finds."""
    names = sorted(path.name for path in (folder / "assets").iterdir())
    checksums = file_digest(folder / "assets" / CHECKSUMS)
    data = {"folder": folder.name, "files": names, "checksums": checksums}
    release.ledger.append_once(release.id, "sign.published", tag, data)
    log.info("published %d files in %s", len(names), folder)


def _lay(beside: Path, artefacts: Path, about: Mapping[str, str]) -> None:
    """The release folder with its assets and `release.json`, all of it on disk."""
    signed = [*read_checksums(artefacts / CHECKSUMS), CHECKSUMS]
    names = [*signed, *(f"{name}.sig" for name in signed), *_statements(artefacts), PUBLIC_KEY]
    (beside / "assets").mkdir(parents=True)
    for name in names:
        shutil.copyfile(_present(artefacts / name), beside / "assets" / name)
        durable.sync(beside / "assets" / name)
    told = {**about, "assets": [_asset(beside / "assets" / name) for name in sorted(names)]}
    (beside / "release.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for place in (beside / "release.json", beside / "assets", beside):
        durable.sync(place)


def _asset(file: Path) -> dict[str, str | int]:
    return {"name": file.name, "size": file.stat().st_size, "digest": file_digest(file)}


def _present(file: Path) -> Path:
    if not file.is_file():
        raise ArtefactError("is missing", where=str(file), remedy="run sign_artefacts and attest again")
    return file


def _holds(folder: Path, artefacts: Path, names: Sequence[str]) -> bool:
    """Whether the release in `folder` has each of these files just as it is among the artefacts."""
    pairs = [(artefacts / name, folder / "assets" / name) for name in names]
    return all(a.is_file() and b.is_file() and a.read_bytes() == b.read_bytes() for a, b in pairs)


def _statements(artefacts: Path) -> list[str]:
    return [name for name in FILES.values() if (artefacts / name).exists()]


def _commit_of(folder: Path) -> str:
    """What `release.json` says; empty when it cannot be read, which no release is of."""
    try:
        return str(json.loads((folder / "release.json").read_text(encoding="utf-8"))["target_commitish"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
