"""The rules by which a published release is believed. No network, no private key, no ledger: a folder and a public key.

  (1) `release.json` is of the version that is asked for.
  (2) The signature of `SHA256SUMS` is by the trusted key.
  (3) Every file that `SHA256SUMS` names is there and has that digest; every bundle is named there.
  (4) Every file that `SHA256SUMS` names has a signature of its own, by the trusted key.
  (5) The manifest inside each bundle names this version and the service that the file is named after.
  (6) Every service of the plan has a bundle.
A release that fails any of them is refused whole, with the file and the reason. The version is believed from (5): what
`release.json` says is not signed, so (1) only tells earlier. A key that lies in the release (`cosign.pub`) is never read.

Signatures are what `cosign verify-blob --key` takes: base64 of a DER-encoded ECDSA P-256 signature over the SHA-256 of
the file (https://docs.sigstore.dev/cosign/verifying/verify/).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from roundtrip.errors import ArtefactError, SecretError
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import MANIFEST, file_digest

CHECKSUMS = "SHA256SUMS"
IMAGES = "images.json"
"""digests of the services' images in the registry; a release that goes to no environment of images has none"""
IMAGE_SBOM, IMAGE_SPDX = "{}-{}.image.cdx.json", "{}-{}.image.spdx.json"
"""the SBOM of one image, of a service and a version"""
BUNDLE_ENDING = ".tar.gz"
MOST_MANIFEST_BYTES = 1024**2
NOT_SIGNED = "its signature is not by the trusted key, or not over this content"
WHERE, REMEDY = "signing connection", "set public_key in its extra to the PEM of cosign.pub"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*)")
"""A line of sha256sum. The name has no folder, so it cannot lead out of the release."""


def verify_release(
    folder: Path, version: str, services: Iterable[str], key: EllipticCurvePublicKey
) -> dict[str, str]:
    """Digest of each service's bundle of the release published in `folder`. Raises ArtefactError."""
    assets = folder / "assets"
    _require_version(folder, version)  # (1)
    verify_signature(assets / CHECKSUMS, key)  # (2)
    listed = read_checksums(assets / CHECKSUMS)
    verify_listed(assets, listed)  # (3)
    for name in listed:
        verify_signature(assets / name, key)  # (4)
    digests: dict[str, str] = {}
    for service in services:  # (6)
        name = bundle_name(service, version)
        if name not in listed:
            raise refused(assets / name, f"is not named in {CHECKSUMS}")
        _require_manifest(assets / name, service, version)  # (5)
        digests[service] = listed[name]
    if not digests:
        raise refused(assets, "expected bundles, got none")
    return digests


def read_images(folder: Path, version: str, services: Iterable[str]) -> dict[str, str]:
    """Digest of each service's image, as `images.json` says, which `SHA256SUMS` has to name. Raises ArtefactError.

    Believed is what was verified before: by its signature, or by the checksums of the build.
    """
    file = folder / IMAGES
    if IMAGES not in read_checksums(folder / CHECKSUMS):
        raise ArtefactError(
            f"{IMAGES} is not named in {CHECKSUMS}: this release has no images",
            where=str(folder),
            remedy="release it to an environment of images; a stable version that was published without them is published "
            "again once its folder is removed",
        )
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        of, digests = data["version"], {service: data["images"][service] for service in services}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise refused(file, f"cannot be read: {error}") from error
    if of != version:
        raise refused(file, f"is of version {of}, expected {version}")
    for service, digest in digests.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise refused(file, f"{service}: expected a sha256 digest, got {str(digest)[:80]!r}")
    return digests


def bundle_name(service: str, version: str) -> str:
    """File name of a bundle in a release."""
    return f"{service}-{version}{BUNDLE_ENDING}"


def services_of(plan: Plan, version: str) -> list[str]:
    """Services that a release of `version` has bundles of: all, but those that the stable version has no replica of."""
    is_stable = version == plan.from_version
    return [name for name, service in plan.services.items() if service.replicas.stable or not is_stable]


def load_public_key(text: str) -> EllipticCurvePublicKey:
    """The trusted key. Raises SecretError when it is none that cosign uses."""
    try:
        key = load_pem_public_key(text.encode())
    except ValueError as error:
        raise SecretError("public_key is no PEM public key", where=WHERE, remedy=REMEDY) from error
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        raise SecretError("public_key: expected ECDSA on P-256", where=WHERE, remedy=REMEDY)
    return key


def pem(key: EllipticCurvePublicKey) -> str:
    """The key as `cosign.pub` has it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def verify_signature(file: Path, key: EllipticCurvePublicKey) -> None:
    """Returns when `file` has a signature by `key` beside it. Raises ArtefactError."""
    beside = file.with_name(file.name + ".sig")
    try:
        signature = base64.b64decode(beside.read_text(encoding="ascii").strip(), validate=True)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").digest()
    except FileNotFoundError as error:
        raise refused(file, f"{Path(str(error.filename)).name} is missing") from error
    except ValueError as error:  # binascii.Error and UnicodeDecodeError are ValueErrors
        raise refused(beside, "is no base64 text") from error
    if not is_signature(key, signature, digest):
        raise refused(file, NOT_SIGNED)


def is_signature(key: EllipticCurvePublicKey, signature: bytes, sha256: bytes) -> bool:
    """Whether the key has signed what has this sha256."""
    try:
        key.verify(signature, sha256, ECDSA(Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def read_checksums(file: Path) -> dict[str, str]:
    """`sha256sum`'s format: digest by file name. Raises ArtefactError."""
    found: dict[str, str] = {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise refused(file, f"cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None or (name := match["name"]) in found:
            raise refused(file, f"line {number}: expected a digest and a new file name, got {line[:120]!r}")
        found[name] = f"sha256:{match['digest']}"
    if not found:
        raise refused(file, "names no file")
    return found


def verify_listed(folder: Path, listed: Mapping[str, str]) -> None:
    """Every file of `listed` is in `folder` with its digest, and no bundle is there that is not listed."""
    for name, expected in listed.items():
        file = folder / name
        if not file.is_file():
            raise refused(file, "is missing")
        got = file_digest(file)
        if got != expected:
            raise refused(file, f"expected {expected}, got {got}")
    strangers = {path.name for path in folder.glob(f"*{BUNDLE_ENDING}")} - set(listed)
    if strangers:
        raise refused(folder, f"{', '.join(sorted(strangers))}: not named in {CHECKSUMS}")


def _require_version(folder: Path, version: str) -> None:
    file = folder / "release.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise refused(file, f"cannot be read: {error}") from error
    if found != version:
        raise refused(file, f"is of version {found}, expected {version}")


def _require_manifest(bundle: Path, service: str, version: str) -> None:
    try:
        with tarfile.open(bundle, "r:gz") as archive:
            content = archive.extractfile(MANIFEST)
            read = content.read(MOST_MANIFEST_BYTES + 1) if content else b"{}"
        if len(read) > MOST_MANIFEST_BYTES:
            raise ValueError(f"more than {MOST_MANIFEST_BYTES} bytes")
        data = json.loads(read)
    except (tarfile.TarError, KeyError, ValueError, OSError, EOFError, RecursionError, zlib.error) as error:
        raise refused(bundle, f"has no readable {MANIFEST}: {error}") from error
    if not isinstance(data, dict) or (data.get("service"), data.get("version")) != (service, version):
        found = (
            f"{data.get('service')} {data.get('version')}" if isinstance(data, dict) else type(data).__name__
        )
        raise refused(bundle, f"is of {found}, expected {service} {version}")


def refused(where: Path, why: str) -> ArtefactError:
    """What is said of a release that is not believed."""
    return ArtefactError(
        why, where=str(where), remedy="it is not deployed; restore the release as it was published"
    )
