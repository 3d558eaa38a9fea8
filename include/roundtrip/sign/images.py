"""Plan 3.3, of images: cosign's signature beside each in the registry, and what is known of it.

Rules:
1. What an image is believed by is its digest in the signed `images.json`. What lies in the registry is for whoever meets the image there,
   and for a plan that demands it (`sign.demands.images`).
2. Signed here, with the key of the signing connection, and laid down by the cosign program. Without that program the images stay
   unsigned, which the ledger and the dossier say.
3. Statements are those of the release, about the image: provenance, staging's summary, its SBOM.
4. What is there already, by the trusted key and of the same content, is not laid down again.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from roundtrip.errors import ArtefactError
from roundtrip.plan.environment import image_settings
from roundtrip.release import Release
from roundtrip.rollout.deploying import built
from roundtrip.sign.keys import fingerprint, signing_key
from roundtrip.sign.signing import STAGE, der_signature, signature_of
from roundtrip.toolchain import cosign
from roundtrip.toolchain.cosign import Cosign
from roundtrip.verification.attestations import PROVENANCE_FILE, STAGING_FILE
from roundtrip.verification.published import IMAGE_SBOM
from roundtrip.verification.statements import (
    PROVENANCE,
    SBOM,
    SUMMARY,
    Statement,
    read_statement,
    write_statement,
)

log = logging.getLogger(__name__)

NO_PROGRAM = f"there is no {cosign.PROGRAM} on this machine"


def sign_images(release: Release) -> None:
    """Sign each image in its registry, when an environment of the release takes images. Raises TargetError."""
    if (settings := image_settings(release.environments)) is None:
        return
    if (program := cosign.found()) is None:
        log.warning("images are not signed in the registry: %s", NO_PROGRAM)
        release.ledger.append_once(release.id, "sign.images_unsigned", "images", {"reason": NO_PROGRAM})
        return
    connection = release.environment(STAGE).signing_connection
    key = signing_key(release.secrets(connection), connection)
    for service, digest in built(release, STAGE).items():
        repository = f"{settings.registry}/{service}"
        sign_image(program, repository, digest, _statements(release, service, key), key)
        data = {"image": f"{repository}@{digest}", "key_fingerprint": fingerprint(key.public_key())}
        release.ledger.append_once(release.id, "sign.image", service, data)
        log.info("%s: signed in the registry, with provenance, staging's summary and SBOM", service)


def sign_image(
    program: Cosign,
    repository: str,
    digest: str,
    statements: Mapping[str, Mapping[str, Any]],
    key: EllipticCurvePrivateKey,
) -> None:
    """Sign one image, and say of it what `statements` has by predicate type. Raises TargetError."""
    image = f"{repository}@{digest}"
    with tempfile.TemporaryDirectory(prefix="roundtrip-sign-") as scratch:
        payload = Path(scratch) / "payload"
        try:
            program.require_signed(image, key.public_key())
        except ArtefactError:
            payload.write_bytes(program.payload(image))
            program.attach_signature(image, payload.read_bytes(), signature_of(payload, key))
        for predicate_type, predicate in statements.items():
            if predicate in _said(program, image, predicate_type, key):
                continue
            envelope = Path(scratch) / "statement"
            sign = partial(der_signature, key)
            write_statement(envelope, predicate_type, Statement({repository: digest}, predicate), sign)
            program.attach_attestation(image, envelope)


def _said(program: Cosign, image: str, predicate_type: str, key: EllipticCurvePrivateKey) -> Iterator[Any]:
    try:
        found = program.statements(image, predicate_type, key.public_key())
    except ArtefactError:
        return
    yield from (statement["predicate"] for statement in found)


def _statements(
    release: Release, service: str, key: EllipticCurvePrivateKey
) -> Mapping[str, Mapping[str, Any]]:
    folder = release.folder / "artefacts"
    sbom = folder / IMAGE_SBOM.format(service, release.plan.to_version)
    said = {
        kind: read_statement(folder / name, kind, key.public_key()).predicate
        for name, kind in ((PROVENANCE_FILE, PROVENANCE), (STAGING_FILE, SUMMARY))
    }
    return {**said, SBOM: json.loads(sbom.read_text(encoding="utf-8"))}
