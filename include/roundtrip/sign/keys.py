"""The keys of a signing connection.

Rules:
1. `private_key` signs artefacts (ECDSA P-256, as cosign's keys are), `tag_key` signs tags (Ed25519, as SSH keys are);
   both are PKCS8 in PEM, and `password` opens them when they are encrypted.
2. `public_key` is what deploys trust. It is in the connection, never taken from the release that it judges, and has to
   belong to `private_key`. An environment that only verifies has a connection with `public_key` alone.
3. A key never leaves memory: no file, no argument, no message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from roundtrip.errors import SecretError
from roundtrip.verification.published import load_public_key, pem


def new_keys() -> dict[str, str]:
    """A new pair of keys, as a signing connection holds them."""
    key, tag_key = generate_private_key(SECP256R1()), Ed25519PrivateKey.generate()
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "private_key": key.private_bytes(*private).decode(),
        "public_key": pem(key.public_key()),
        "tag_key": tag_key.private_bytes(*private).decode(),
    }


def signing_key(secrets: Mapping[str, str], where: str) -> EllipticCurvePrivateKey:
    """The key that signs artefacts. Raises SecretError, also when deploys would not trust it."""
    key = _load(secrets, "private_key", where)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise SecretError(
            "private_key: expected ECDSA on P-256", where=where, remedy="make one with cosign or openssl"
        )
    trusted = load_public_key(secrets.get("public_key", ""))
    if pem(trusted) != pem(key.public_key()):
        raise SecretError(
            f"public_key has fingerprint {fingerprint(trusted)}, private_key belongs to {fingerprint(key.public_key())}",
            where=where,
            remedy="what is signed now would be refused at the deploy; set the pair that belongs together",
        )
    return key


def tag_key(secrets: Mapping[str, str], where: str) -> Ed25519PrivateKey:
    """The key that signs tags. Raises SecretError."""
    key = _load(secrets, "tag_key", where)
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretError(
            "tag_key: expected Ed25519",
            where=where,
            remedy="make one with openssl genpkey -algorithm ed25519",
        )
    return key


def fingerprint(key: EllipticCurvePublicKey) -> str:
    """A short name of a public key for logs and the ledger: the first half of the sha256 of its DER form."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(der).hexdigest()[:32]


def _load(secrets: Mapping[str, str], name: str, where: str) -> object:
    if name not in secrets:
        raise SecretError(f"{name} is missing", where=where, remedy="set it in the connection's extra")
    password = secrets.get("password")
    try:
        return load_pem_private_key(secrets[name].encode(), _password_of(secrets[name], password))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's message may quote the key; it stays out of ours.
        raise SecretError(
            f"{name} is no PEM private key in PKCS8, or its password is wrong",
            where=where,
            remedy="set both again in the connection's extra",
        ) from None


def _password_of(key: str, password: str | None) -> bytes | None:
    """The library refuses a password for a key that needs none; one of the two keys may be such."""
    return password.encode() if password and "ENCRYPTED" in key else None
