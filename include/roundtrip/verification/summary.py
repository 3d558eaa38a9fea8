"""SLSA verification summary v1, as its specification has it (https://slsa.dev/spec/v1.0/verification_summary).

The schema that the in-toto attestation framework publishes has one level where the specification has a list, so it cannot read one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Digest = dict[str, Annotated[str, Field(min_length=1)]]
"""algorithm -> hexadecimal digits"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class Verifier(_Part):
    id: str


class Resource(_Part):
    uri: str
    digest: Digest


class Summary(_Part):
    """That a verifier has held artefacts against a policy."""

    verifier: Verifier
    time_verified: datetime
    resource_uri: str
    policy: Resource
    input_attestations: list[Resource] = []
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: list[str]
    dependency_levels: dict[str, int] = {}
    slsa_version: str = ""
