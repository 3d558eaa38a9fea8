"""The keys of a signing connection.

Rules:
1. `private_key` signs artefacts (ECDSA P-256, as cosign's keys are), `tag_key` signs tags (Ed25519, as SSH keys are).
2. `public_key` is what deploys trust. It is in the connection, beside the private one, not in the release.
3. A key never leaves memory: no file, no argument.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
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


def new_keys() -> dict[str, str]:
    """A new pair of keys, as a signing connection holds them."""
    key, tag_key = generate_private_key(SECP256R1()), Ed25519PrivateKey.generate()
    private = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "private_key": key.private_bytes(*private).decode(),
        "public_key": key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(),
        "tag_key": tag_key.private_bytes(*private).decode(),
    }


def signing_key(secrets: Mapping[str, str], where: str) -> EllipticCurvePrivateKey:
    """The key that signs artefacts. Raises SecretError."""
    key = _load(secrets, "private_key", where)
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise SecretError(
            "private_key: expected ECDSA on P-256", where=where, remedy="make one with cosign or openssl"
        )
    return key


def tag_key(secrets: Mapping[str, str], where: str) -> Ed25519PrivateKey:
    """The key that signs tags. Raises SecretError."""
    key = _load(secrets, "tag_key", where)
    if not isinstance(key, Ed25519PrivateKey):
        raise SecretError(
            "tag_key: expected Ed25519", where=where, remedy="make one with ssh-keygen -t ed25519 -m PKCS8"
        )
    return key


def fingerprint(pem: str) -> str:
    """A short name of a public key for logs and the ledger: sha256 of its DER form."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    der = load_pem_public_key(pem.encode()).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(der).hexdigest()[:32]


def _load(secrets: Mapping[str, str], name: str, where: str) -> object:
    if name not in secrets:
        raise SecretError(f"{name} is missing", where=where, remedy="set it in the connection's extra")
    password = secrets.get("password")
    try:
        return load_pem_private_key(secrets[name].encode(), password.encode() if password else None)
    except (ValueError, TypeError):
        # The library's message may quote the key; it stays out of ours.
        raise SecretError(f"{name} is no PEM private key, or its password is wrong", where=where) from None
