"""What the plan demands of an image in the registry besides its digest (`sign.demands.images`): cosign has to believe it.

Asked on the way forward only: what is gone back to is on the machine by its digest, which the signed `images.json` names, and a
registry that is away must not bar the way back.
  (1) A signature of the image is by the trusted key.
  (2) A statement about the image by that key has the very predicate of the release's own statement, which was verified before.
  (3) Its SBOM is the one that the release's checksums name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from roundtrip.errors import ArtefactError
from roundtrip.plan.model import Plan
from roundtrip.toolchain.cosign import REMEDY, Cosign
from roundtrip.verification.attestations import PROVENANCE_FILE, STAGING_FILE
from roundtrip.verification.published import IMAGE_SBOM
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
    for service, image in images.items():
        if "signature" in plan.sign.demands.images:
            program.require_signed(image, key)
        for predicate_type, predicate in _demanded(plan, assets, service, key).items():
            said = program.statements(image, predicate_type, key)
            if not any(statement["predicate"] == predicate for statement in said):
                raise ArtefactError(
                    f"expected of {service} the statement of this release, {predicate_type}, got another one's",
                    where=image,
                    remedy=REMEDY,
                )


def _demanded(
    plan: Plan, assets: Path, service: str, key: EllipticCurvePublicKey
) -> Mapping[str, Mapping[str, Any]]:
    """By predicate type."""
    demanded: dict[str, Mapping[str, Any]] = {}
    for name, file, kind in (
        ("provenance", PROVENANCE_FILE, PROVENANCE),
        ("staging", STAGING_FILE, SUMMARY),
    ):
        if name in plan.sign.demands.images:
            demanded[kind] = read_statement(assets / file, kind, key).predicate
    if "sbom" in plan.sign.demands.images:
        sbom = assets / IMAGE_SBOM.format(service, plan.to_version)
        demanded[SBOM] = json.loads(sbom.read_text(encoding="utf-8"))
    return demanded
