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

import hashlib
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
from roundtrip.sign.signing import STAGE, der_signature, signature_over
from roundtrip.toolchain import cosign
from roundtrip.toolchain.cosign import Cosign
from roundtrip.verification.published import pem
from roundtrip.verification.registry import predicates
from roundtrip.verification.statements import Statement, write_statement

log = logging.getLogger(__name__)

STATEMENTS = ("provenance", "staging", "sbom")
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
    folder, trusted = release.folder / "artefacts", key.public_key()
    for service, digest in built(release, STAGE).items():
        repository = f"{settings.registry}/{service}"
        said = predicates(release.plan, folder, service, trusted, STATEMENTS)
        sign_image(program, repository, digest, said, key)
        data = {"image": f"{repository}@{digest}", "key_fingerprint": fingerprint(trusted)}
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
    image, trusted = f"{repository}@{digest}", pem(key.public_key())
    try:
        program.require_signed(image, trusted)
    except ArtefactError:
        payload = program.payload(image)
        program.attach_signature(image, payload, signature_over(hashlib.sha256(payload).digest(), key))
    with tempfile.TemporaryDirectory(prefix="roundtrip-sign-") as scratch:
        for predicate_type, predicate in statements.items():
            if predicate in _said(program, image, predicate_type, trusted):
                continue
            envelope = Path(scratch) / "statement"
            sign = partial(der_signature, key)
            write_statement(envelope, predicate_type, Statement({repository: digest}, predicate), sign)
            program.attach_attestation(image, envelope)


def _said(program: Cosign, image: str, predicate_type: str, trusted: str) -> Iterator[Any]:
    try:
        found = program.statements(image, predicate_type, trusted)
    except ArtefactError:
        return
    yield from (statement["predicate"] for statement in found)
