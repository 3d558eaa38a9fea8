"""Verification before a deploy or a rollback, recorded whichever way it ends.

Rules:
1. Production and every rollback verify signatures; staging, which comes before signing, verifies the build's checksums.
2. What is verified is what the store holds under its digest. A bundle missing there is put there from the release. One
   that is damaged there is refused; of the stable version it is replaced, since refusing would bar the only way back.
   Of images, what runs is what the signed `images.json` names; the engine compares each with its digest as it takes it.
3. The new version's digests have to be those that this release built and tested.
4. What was published last under a tag is what has to be there: an older release of the same version, however well
   signed, is refused.
5. A release has the attestations that the plan demands of it (`attestations`), also before the way back.
6. What runs of the stable version, and what the snapshot goes back to, is what was verified as that version.
7. The trusted key comes from the environment's signing connection, never from the release that it judges.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from roundtrip.errors import ArtefactError, SecretError
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.environment import image_settings
from roundtrip.release import Release
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.toolchain import cosign
from roundtrip.verification.attestations import Expected, verify_attestations
from roundtrip.verification.published import (
    CHECKSUMS,
    bundle_name,
    load_public_key,
    read_checksums,
    read_images,
    services_of,
    verify_listed,
    verify_release,
)
from roundtrip.verification.registry import verify_images

log = logging.getLogger(__name__)


def verify_signatures(release: Release, stage: str, version: str) -> dict[str, str]:
    """Digests by service of the published `version`, believed. Raises ArtefactError, SecretError."""
    environment = release.environment(stage)
    folder = release.home.releases / f"{release.plan.repository.tag_prefix}{version}"
    about = {"environment": environment.name, "version": version}
    with _refusal_recorded(release, about):
        key = load_public_key(release.secrets(environment.signing_connection).get("public_key", ""))
        services = services_of(release.plan, version)
        digests = bundles = verify_release(folder, version, services, key)
        _require_published_last(release, folder)
        if environment.form == "image":
            digests = read_images(folder / "assets", version, services)
        if version == release.plan.to_version:
            _require_built(release, "bundle", bundles)
            _require_built(release, environment.form, digests)
            if environment.form == "image":
                _require_demanded(release, folder / "assets", digests, key)
        attested = verify_attestations(folder / "assets", _expected(release, version), key)
        if environment.form == "bundle":
            _require_stored(release, version, digests)
    data = {**about, "by": "signature", "files": digests, "attestations": attested}
    release.ledger.append(release.id, "verify.passed", data)
    and_by = f", and {' and '.join(attested)}" if attested else ""
    log.info(
        "%s %s: %d %ss verified by signature%s",
        environment.name,
        version,
        len(digests),
        environment.form,
        and_by,
    )
    return digests


def require_placed(release: Release, stage: str, deployment: Deployment, version: str) -> None:
    """What is placed of `version` is what was verified, each bundle by its digest. Raises ArtefactError, SecretError."""
    digests = verify_signatures(release, stage, version)
    environment = release.environment(stage).name
    with _refusal_recorded(release, {"environment": environment, "version": version}):
        for placement in deployment.placements:
            expected = digests.get(placement.service, "none")
            if placement.version == version and placement.bundle != expected:
                raise ArtefactError(
                    f"{placement.service} {version}: expected {expected}, which is signed, got {placement.bundle}",
                    where=environment,
                    remedy="its release was replaced since, or this was never released; see which of both is right",
                )


def verify_checksums(release: Release, stage: str) -> dict[str, str]:
    """Digests by service of what this release built, as its checksums say. Raises ArtefactError."""
    environment, version = release.environment(stage), release.plan.to_version
    folder = release.folder / "artefacts"
    about = {"environment": environment.name, "version": version}
    with _refusal_recorded(release, about):
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
        _require_built(release, "bundle", digests)
        if environment.form == "image":
            digests = read_images(folder, version, release.plan.services)
            _require_built(release, "image", digests)
    release.ledger.append(release.id, "verify.passed", {**about, "by": "checksums", "files": digests})
    log.info("%s %s: %d %ss verified by checksum", environment.name, version, len(digests), environment.form)
    return digests


@contextmanager
def _refusal_recorded(release: Release, about: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    except (ArtefactError, SecretError) as error:
        release.ledger.append(release.id, "verify.refused", {**about, "reason": str(error)})
        raise


def _expected(release: Release, version: str) -> Expected:
    now = datetime.now(UTC)
    if version != release.plan.to_version:
        return Expected(release.plan, version, None, now)
    chosen = release.ledger.last(release.id, "candidate.chosen")
    return Expected(release.plan, version, str(chosen.data["commit"]) if chosen else "none", now)


def _require_built(release: Release, form: str, digests: dict[str, str]) -> None:
    for service, digest in digests.items():
        key = f"{service}@{release.plan.to_version}"
        event = release.ledger.last(release.id, f"build.{form}", key)
        if event is None or event.data["digest"] != digest:
            raise ArtefactError(
                f"{service}: expected {event.data['digest'] if event else f'{form} built by this release'}, got {digest}",
                where=release.id,
                remedy="what was tested is not what was signed; it is not deployed",
            )


def _require_demanded(
    release: Release, assets: Path, digests: Mapping[str, str], key: EllipticCurvePublicKey
) -> None:
    """What the plan demands of images in their registry, where they are what is deployed."""
    settings = image_settings(release.environments)
    if release.plan.sign.demands.images and settings is not None:
        images = {service: f"{settings.registry}/{service}@{digest}" for service, digest in digests.items()}
        verify_images(cosign.required(), release.plan, assets, images, key)


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
