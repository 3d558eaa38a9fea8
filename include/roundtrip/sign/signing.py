"""Plan 3.3: tag the commit, sign the artefacts.

Rules:
1. Signed is what `SHA256SUMS` names and itself, after both were compared with what the ledger says was built and tested.
2. A signature is what `cosign verify-blob --key` takes: base64 of the DER form, in `<file>.sig` beside the file.
   It is made as RFC 6979 says, so that signing the same again gives the same.
3. The tag and the release of a version that was taken back are set aside first (`withdrawing`).
"""

from __future__ import annotations

import base64
import logging
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from roundtrip import durable
from roundtrip.forge import open_forge
from roundtrip.release import Release
from roundtrip.rollout.verdicts import candidate
from roundtrip.sign.keys import fingerprint, signing_key, tag_key
from roundtrip.sign.withdrawing import withdraw_tag
from roundtrip.targets.bundles import file_digest
from roundtrip.verification import verify_checksums
from roundtrip.verification.published import CHECKSUMS, pem, read_checksums

log = logging.getLogger(__name__)

STAGE = "production"
PUBLIC_KEY = "cosign.pub"
"""For whoever checks the release by hand and has the key's fingerprint from elsewhere; Roundtrip never reads it."""


def tag_release(release: Release) -> None:
    """Tag the candidate, signed."""
    connection = release.environment(STAGE).signing_connection
    plan, commit = release.plan, candidate(release)
    name = f"{plan.repository.tag_prefix}{plan.to_version}"
    key = tag_key(release.secrets(connection), connection)
    withdraw_tag(release, name, commit)
    tagged = open_forge(release).tag(name, commit, f"{plan.platform} {plan.to_version}", key)
    release.ledger.append_once(
        release.id, "sign.tagged", name, {"tag": name, "commit": commit, "object": tagged}
    )
    log.info("tagged %s as %s", commit, name)


def sign_artefacts(release: Release) -> None:
    """Sign everything that the build made, after its checksums were verified once more."""
    verify_checksums(release, STAGE)
    connection = release.environment(STAGE).signing_connection
    key = signing_key(release.secrets(connection), connection)
    folder = release.folder / "artefacts"
    for name, signature in sign_folder(folder, key).items():
        data = {
            "file": name,
            "digest": file_digest(folder / name),
            "signature": signature,
            "key_fingerprint": fingerprint(key.public_key()),
        }
        release.ledger.append_once(release.id, "sign.signed", name, data)
        log.info("signed %s", name)


def sign_folder(folder: Path, key: EllipticCurvePrivateKey) -> dict[str, str]:
    """Sign `SHA256SUMS` and every file that it names; signatures by file name."""
    signatures = {}
    for name in [*read_checksums(folder / CHECKSUMS), CHECKSUMS]:
        signatures[name] = signature_of(folder / name, key)
        durable.write(folder / f"{name}.sig", signatures[name])
    durable.write(folder / PUBLIC_KEY, pem(key.public_key()))
    return signatures


def signature_of(file: Path, key: EllipticCurvePrivateKey) -> str:
    """The signature over the content of `file`, as it stands in `<file>.sig`."""
    return signature_over(bytes.fromhex(file_digest(file).removeprefix("sha256:")), key)


def signature_over(sha256: bytes, key: EllipticCurvePrivateKey) -> str:
    """The same over what has this sha256."""
    return base64.b64encode(der_signature(key, sha256)).decode()


def der_signature(key: EllipticCurvePrivateKey, sha256: bytes) -> bytes:
    """The signature over what has this sha256."""
    return key.sign(sha256, ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True))
