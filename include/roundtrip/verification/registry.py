"""What the plan demands of an image in the registry besides its digest (`sign.demands.images`): cosign has to believe it.

Asked on the way forward only: what is gone back to is on the machine by its digest, which the signed `images.json` names, and a
registry that is away must not bar the way back.
  (1) A signature of the image is by the trusted key.
  (2) A statement about the image by that key has the very predicate of the release's own statement, which was verified before.
  (3) Its SBOM is the one that the release's checksums name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from roundtrip.errors import ArtefactError
from roundtrip.plan.model import Plan
from roundtrip.toolchain.cosign import REMEDY, Cosign
from roundtrip.verification.attestations import FILES
from roundtrip.verification.published import IMAGE_SBOM, pem
from roundtrip.verification.statements import PROVENANCE, SBOM, SUMMARY, read_statement


def verify_images(
    program: Cosign,
    plan: Plan,
    assets: Path,
    images: Mapping[str, str],
    key: EllipticCurvePublicKey,
) -> None:
    """Each of `images` (service -> `<repository>@sha256:…`) is as the plan demands of its new version.

    `assets` were verified before. Raises ArtefactError for one that is not, TargetError when the registry cannot be asked.
    """
    demanded = plan.sign.demands.images
    for service, image in images.items():
        if "signature" in demanded:
            program.require_signed(image, pem(key))
        for predicate_type, predicate in predicates(plan, assets, service, key, demanded).items():
            said = program.statements(image, predicate_type, pem(key))
            if not any(statement["predicate"] == predicate for statement in said):
                raise ArtefactError(
                    f"expected of {service} the statement of this release, {predicate_type}, got another one's",
                    where=image,
                    remedy=REMEDY,
                )


def predicates(
    plan: Plan, assets: Path, service: str, key: EllipticCurvePublicKey, wanted: Collection[str]
) -> dict[str, Mapping[str, Any]]:
    """What the release in `assets` says of the new version of a service and its image, by predicate type.

    `wanted` names statements as `sign.demands` does, and `sbom`. Raises ArtefactError.
    """
    said = {
        kind: read_statement(assets / FILES[name], kind, key).predicate
        for name, kind in (("provenance", PROVENANCE), ("staging", SUMMARY))
        if name in wanted
    }
    if "sbom" in wanted:
        sbom = assets / IMAGE_SBOM.format(service, plan.to_version)
        said[SBOM] = json.loads(sbom.read_text(encoding="utf-8"))
    return said
