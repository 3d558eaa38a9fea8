"""What somebody with the trusted key has said of files: an in-toto statement in a DSSE envelope.

Rules:
1. The signature is over the payload and its type. A key id in the envelope is a hint that anybody can write, and is not read.
2. A statement is of the predicate type that is asked for, and its predicate has the published fields and no others.
3. Every subject has a name of its own and a sha256.

Envelope: DSSE 1.0.2 (https://github.com/secure-systems-lab/dsse); statement: in-toto attestation framework v1
(https://github.com/in-toto/attestation), whose own schemas read it. `cosign verify-blob-attestation` takes the same file.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from google.protobuf.json_format import ParseDict, ParseError
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import STATEMENT_TYPE_URI
from in_toto_attestation.v1.statement import Statement as Schema
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from pydantic import ValidationError
from securesystemslib.dsse import Envelope

from roundtrip import durable
from roundtrip.errors import ArtefactError
from roundtrip.verification.published import NOT_SIGNED, is_signature, refused
from roundtrip.verification.summary import Summary

PAYLOAD_TYPE = "application/vnd.in-toto+json"
EARLIER_TYPE = "https://in-toto.io/Statement/v0.1"
"""the same fields as v1; what cosign 2 writes"""
PROVENANCE = "https://slsa.dev/provenance/v1"
SUMMARY = "https://slsa.dev/verification_summary/v1"
SBOM = "https://cyclonedx.org/bom"
SCHEMAS: Mapping[str, Callable[[Any], object]] = {
    PROVENANCE: lambda predicate: ParseDict(predicate, Provenance()),
    SUMMARY: Summary.model_validate,
    SBOM: lambda predicate: _require_format(predicate, "CycloneDX"),
}
"""what raises ValueError or ParseError for a predicate that is none of its type"""
MOST_BYTES = 4 * 1024**2
"""of a statement with its envelope; what is larger is not read"""


@dataclass(frozen=True)
class Statement:
    """What is said of which files."""

    subjects: Mapping[str, str]
    """name -> `sha256:…`"""
    predicate: Mapping[str, Any]


def write_statement(to: Path, predicate_type: str, said: Statement, sign: Callable[[bytes], bytes]) -> None:
    """Write the statement in its envelope; `sign` makes of a sha256 a DER signature. Raises ArtefactError."""
    subject = [
        {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
        for name, digest in sorted(said.subjects.items())
    ]
    content = {"_type": STATEMENT_TYPE_URI, "subject": subject, "predicateType": predicate_type}
    payload = json.dumps({**content, "predicate": said.predicate}, sort_keys=True).encode()
    _parse(to, payload, predicate_type)
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    signatures = [
        {"keyid": "", "sig": base64.b64encode(sign(hashlib.sha256(envelope.pae()).digest())).decode()}
    ]
    durable.write(to, json.dumps({**envelope.to_dict(), "signatures": signatures}, sort_keys=True) + "\n")


def read_statement(file: Path, predicate_type: str, key: EllipticCurvePublicKey) -> Statement:
    """The statement in `file`, believed. Raises ArtefactError."""
    return _parse(file, _signed_payload(file, key), predicate_type)


def _signed_payload(file: Path, key: EllipticCurvePublicKey) -> bytes:
    try:
        with file.open("rb") as content:
            read = content.read(MOST_BYTES + 1)
        if len(read) > MOST_BYTES:
            raise refused(file, f"is larger than {MOST_BYTES} bytes")
        data = json.loads(read)
        payload_type, signatures = str(data["payloadType"]), [str(s["sig"]) for s in data["signatures"]]
        envelope = Envelope(base64.b64decode(data["payload"], validate=True), payload_type, {})
        found = [base64.b64decode(signature, validate=True) for signature in signatures]
    except FileNotFoundError as error:
        raise ArtefactError(
            "is missing",
            where=str(file),
            remedy="restore the release as it was published; one of a time before there were attestations needs "
            "sign.demands of the plan without them",
        ) from error
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise refused(file, f"is no DSSE envelope: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise refused(file, f"expected a payload of {PAYLOAD_TYPE}, got {envelope.payload_type}")
    signed = hashlib.sha256(envelope.pae()).digest()
    if not any(is_signature(key, signature, signed) for signature in found):
        raise refused(file, NOT_SIGNED)
    return envelope.payload


def _require_format(predicate: Any, name: str) -> None:
    if predicate["bomFormat"] != name:
        raise ValueError(f"expected the format {name}, got {predicate['bomFormat']}")


def _parse(file: Path, payload: bytes, predicate_type: str) -> Statement:
    try:
        data = json.loads(payload)
        if data["_type"] == EARLIER_TYPE:
            data["_type"] = STATEMENT_TYPE_URI
        message = ParseDict(data, Message())
        Schema.copy_from_pb(message).validate()
        if message.predicate_type != predicate_type:
            raise refused(file, f"expected {predicate_type}, got {message.predicate_type}")
        SCHEMAS[predicate_type](data["predicate"])
        subjects = {one.name: f"sha256:{one.digest['sha256']}" for one in message.subject}
        if len(subjects) != len(message.subject) or "" in subjects or "sha256:" in subjects.values():
            raise ValueError("a subject without a name of its own, or without a sha256")
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise refused(file, f"is no in-toto statement of {predicate_type}: {wrong}") from error
    except (ParseError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise refused(file, f"is no in-toto statement of {predicate_type}: {error}") from error
    return Statement(subjects, data["predicate"])
