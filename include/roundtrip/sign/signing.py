"""Plan 3.3: tag the commit, sign the artefacts.

Rules:
1. Signed is what the ledger says was built: bundles, SBOM, zip and checksums, each with a signature beside it.
2. Signing again gives another signature of the same content; one that verifies already is kept.
"""

from __future__ import annotations

import base64
import logging
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey

from roundtrip.errors import ArtefactError, PromotionError
from roundtrip.forge import open_forge
from roundtrip.release import Release
from roundtrip.sign.keys import fingerprint, signing_key, tag_key
from roundtrip.targets.bundles import file_digest
from roundtrip.verification import verify_checksums
from roundtrip.verification.published import verify_signature

log = logging.getLogger(__name__)

STAGE = "production"


def tag_release(release: Release) -> None:
    """Tag the candidate, signed."""
    connection = release.environment(STAGE).signing_connection
    chosen = release.ledger.last(release.id, "candidate.chosen")
    if chosen is None:
        raise PromotionError(
            "no candidate was chosen", where=f"release {release.id}", remedy="run the checklist"
        )
    plan = release.plan
    name = f"{plan.repository.tag_prefix}{plan.to_version}"
    key = tag_key(release.secrets(connection), connection)
    commit = chosen.data["commit"]
    tagged = open_forge(release).tag(name, commit, f"{plan.platform} {plan.to_version}", key)
    release.ledger.append_once(
        release.id, "sign.tagged", name, {"tag": name, "commit": commit, "object": tagged}
    )
    log.info("tagged %s as %s", commit, name)


def sign_artefacts(release: Release) -> None:
    """Sign everything that the build made, after its checksums were verified once more."""
    verify_checksums(release, "staging")
    connection = release.environment(STAGE).signing_connection
    secrets = release.secrets(connection)
    signed = sign_folder(release.folder / "artefacts", signing_key(secrets, connection))
    for name, digest in signed.items():
        data = {"file": name, "digest": digest, "key_fingerprint": fingerprint(secrets["public_key"])}
        release.ledger.append_once(release.id, "sign.signed", name, data)
    log.info("signed %d files", len(signed))


def sign_folder(folder: Path, key: EllipticCurvePrivateKey) -> dict[str, str]:
    """Sign every file of `folder` that is not a signature; digests by name."""
    digests: dict[str, str] = {}
    for file in sorted(
        path for path in folder.iterdir() if path.is_file() and path.suffix not in (".sig", ".new")
    ):
        digests[file.name] = file_digest(file)
        if not _is_signed(file, key):
            signature = base64.b64encode(key.sign(file.read_bytes(), ECDSA(hashes.SHA256())))
            beside = file.with_name(f"{file.name}.sig.new")
            beside.write_bytes(signature + b"\n")
            beside.rename(file.with_name(f"{file.name}.sig"))
    return digests


def _is_signed(file: Path, key: EllipticCurvePrivateKey) -> bool:
    try:
        verify_signature(file, key.public_key())
    except ArtefactError:
        return False
    return True
