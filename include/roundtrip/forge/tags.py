"""Annotated tags, signed in the SSH signature format that git itself verifies.

Rules:
1. The signature is made here, with the key in memory: it needs no ssh-keygen and writes no key file.
2. `git verify-tag` accepts it (gpg.format=ssh), and so does the package `sshsig`, which verifies it here.
3. A tag without a signature, or by another key, is refused; so is a signature over other content.

Format: PROTOCOL.sshsig of OpenSSH; git's namespace is `git`, its hash SHA-512.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import textwrap
from datetime import datetime

import sshsig
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from roundtrip.errors import ForgeError
from roundtrip.forge.git import Person

_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_NAMESPACE = b"git"
_HASH = b"sha512"


def tag_object(name: str, commit: str, message: str, tagger: Person, at: datetime) -> bytes:
    """The annotated tag as git stores it, without a signature."""
    by = f"{tagger.name} <{tagger.email}> {int(at.timestamp())} +0000"
    return f"object {commit}\ntype commit\ntag {name}\ntagger {by}\n\n{message.strip()}\n".encode()


def signed(tag: bytes, key: Ed25519PrivateKey) -> bytes:
    """`tag` with the signature of `key` below it."""
    public = _strings(b"ssh-ed25519", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    digest = hashlib.sha512(tag).digest()
    signature = key.sign(b"SSHSIG" + _strings(_NAMESPACE, b"", _HASH, digest))
    blob = b"SSHSIG" + struct.pack(">I", 1)
    blob += _strings(public, _NAMESPACE, b"", _HASH, _strings(b"ssh-ed25519", signature))
    lines = textwrap.wrap(base64.b64encode(blob).decode(), 70)
    return tag + b"\n".join([_BEGIN, *(line.encode() for line in lines), _END]) + b"\n"


def is_signed(tag: bytes) -> bool:
    """Whether there is a signature at all; nothing about whose."""
    return _BEGIN in tag


def verify(tag: bytes, key: Ed25519PublicKey, *, where: str) -> None:
    """Raises ForgeError unless `tag` carries a signature of `key` over what stands above it."""
    start = tag.find(_BEGIN)
    if start < 0:
        raise ForgeError("the tag is not signed", where=where, remedy="do not use it; sign the release again")
    try:
        signer = sshsig.check_signature(tag[:start], tag[start:].decode("ascii"), namespace="git")
    except (sshsig.InvalidSignature, ValueError, NotImplementedError) as error:
        raise ForgeError(
            f"the tag's signature is not valid: {error}",
            where=where,
            remedy="do not use it; sign the release again",
        ) from error
    expected = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    if signer.openssh_str().split()[:2] != expected.split()[:2]:
        raise ForgeError(
            f"the tag is signed by {signer.openssh_str()}, expected {expected}",
            where=where,
            remedy="do not use it; find out who made the tag",
        )


def _strings(*parts: bytes) -> bytes:
    """The SSH wire format of strings: four bytes of length, then the bytes."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
