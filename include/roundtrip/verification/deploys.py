"""Verification before a deploy or a rollback, recorded whichever way it ends.

Rules:
1. Production and every rollback verify signatures; staging, which comes before signing, verifies the build's checksums.
2. What is verified is what the store holds under its digest. A bundle missing there is put there from the release. One
   that is damaged there is refused; of the stable version it is replaced, since refusing would bar the only way back.
3. The new version's digests have to be those that this release built and tested.
4. What was published last under a tag is what has to be there: an older release of the same version, however well
   signed, is refused.
5. The trusted key comes from the environment's signing connection, never from the release that it judges.
"""

from __future__ import annotations

import logging
from pathlib import Path

from roundtrip.errors import ArtefactError, SecretError
from roundtrip.release import Release
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.verification.published import (
    CHECKSUMS,
    bundle_name,
    load_public_key,
    read_checksums,
    services_of,
    verify_listed,
    verify_release,
)

log = logging.getLogger(__name__)


def verify_signatures(release: Release, stage: str, version: str) -> dict[str, str]:
    """Digests by service of the published `version`, believed. Raises ArtefactError, SecretError."""
    environment = release.environment(stage)
    folder = release.home.releases / f"{release.plan.repository.tag_prefix}{version}"
    about = {"environment": environment.name, "version": version}
    try:
        pem = release.secrets(environment.signing_connection).get("public_key", "")
        services = services_of(release.plan, version)
        digests = verify_release(folder, version, services, load_public_key(pem))
        _require_published_last(release, folder)
        if version == release.plan.to_version:
            _require_built(release, digests)
        _require_stored(release, version, digests)
    except (ArtefactError, SecretError) as error:
        release.ledger.append(release.id, "verify.refused", {**about, "reason": str(error)})
        raise
    release.ledger.append(release.id, "verify.passed", {**about, "by": "signature", "files": digests})
    log.info("%s %s: %d bundles verified by signature", environment.name, version, len(digests))
    return digests


def verify_checksums(release: Release, stage: str) -> dict[str, str]:
    """Digests by service of what this release built, as its checksums say. Raises ArtefactError."""
    environment, version = release.environment(stage).name, release.plan.to_version
    folder = release.folder / "artefacts"
    about = {"environment": environment, "version": version}
    try:
        recorded = release.ledger.last(release.id, "build.checksums")
        got = file_digest(folder / CHECKSUMS) if (folder / CHECKSUMS).is_file() else "none"
        if recorded is None or recorded.data["digest"] != got:
            expected = recorded.data["digest"] if recorded else "one in the ledger"
            raise ArtefactError(
                f"expected {expected}, got {got}", where=str(folder / CHECKSUMS), remedy="build again"
            )
        listed = read_checksums(folder / CHECKSUMS)
        verify_listed(folder, listed)
        digests = {
            service: listed.get(bundle_name(service, version), "none") for service in release.plan.services
        }
        _require_built(release, digests)
    except ArtefactError as error:
        release.ledger.append(release.id, "verify.refused", {**about, "reason": str(error)})
        raise
    release.ledger.append(release.id, "verify.passed", {**about, "by": "checksums", "files": digests})
    log.info("%s %s: %d bundles verified by checksum", environment, version, len(digests))
    return digests


def _require_built(release: Release, digests: dict[str, str]) -> None:
    for service, digest in digests.items():
        key = f"{service}@{release.plan.to_version}"
        event = release.ledger.last(release.id, "build.bundle", key)
        if event is None or event.data["digest"] != digest:
            raise ArtefactError(
                f"{service}: expected {event.data['digest'] if event else 'a bundle built by this release'}, got {digest}",
                where=f"release {release.id}",
                remedy="what was tested is not what was signed; it is not deployed",
            )


def _require_published_last(release: Release, folder: Path) -> None:
    event = release.ledger.last(None, "sign.published", folder.name)
    if event is None or "checksums" not in event.data:
        return  # published before this ledger began: the signature is what there is to believe
    got = file_digest(folder / "assets" / CHECKSUMS)
    if got != event.data["checksums"]:
        raise ArtefactError(
            f"{CHECKSUMS}: expected {event.data['checksums']}, published last under {folder.name}, got {got}",
            where=str(folder),
            remedy="an older release of the same version was put back; it is not deployed",
        )


def _require_stored(release: Release, version: str, digests: dict[str, str]) -> None:
    store = BundleStore(release.home.store)
    assets = release.home.releases / f"{release.plan.repository.tag_prefix}{version}" / "assets"
    for service, digest in digests.items():
        place, asset = store.path(digest), assets / bundle_name(service, version)
        got = file_digest(place) if place.exists() else None
        if got == digest:
            continue
        if got is not None and version != release.plan.from_version:
            raise ArtefactError(
                f"{service}: expected {digest}, got {got}",
                where=str(place),
                remedy="it is not deployed; delete the file and build again",
            )
        if got is not None:
            log.warning("%s is damaged, got %s; it is replaced by what was signed", place, got)
        if store.put(asset) != digest:
            raise ArtefactError(f"changed while it was verified, expected {digest}", where=str(asset))
