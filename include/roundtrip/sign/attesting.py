"""Plan 3.3, "Once staging tests pass": says, signed, what was built from what, and that staging has passed it.

Rules:
1. Both statements are about what `SHA256SUMS` names and itself, after it was verified once more.
2. Nothing is said of staging before its gate and every smoke test of the plan are PASS and ok in the ledger. A gate that a person has
   overridden is told as that.
3. Every time in them is the ledger's, so that saying it again says the same.

Provenance: SLSA build provenance v1 (https://slsa.dev/spec/v1.0/provenance); the summary: SLSA verification summary v1
(https://slsa.dev/spec/v1.0/verification_summary).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from roundtrip.errors import ArtefactError
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout.verdicts import STAGING_GATE, candidate, require_recorded, require_staging
from roundtrip.sign.keys import fingerprint, signing_key
from roundtrip.sign.signing import STAGE, der_signature
from roundtrip.targets.bundles import file_digest
from roundtrip.verification import verify_checksums
from roundtrip.verification.attestations import (
    PROVENANCE_FILE,
    STAGING_FILE,
    plan_resource,
    plan_uri,
    subjects,
)
from roundtrip.verification.statements import PROVENANCE, SUMMARY, Statement, write_statement

log = logging.getLogger(__name__)

BUILD_TYPE = "urn:roundtrip:build:bundles:v1"
"""Each service of the plan from the commit by its own commands, twice, to the same digest; the parameters name plan and version."""
BUILDER = "urn:roundtrip:builder"
SLSA_VERSION = "1.0"
PASSED, OVERRIDDEN = "ROUNDTRIP_STAGING_PASSED", "ROUNDTRIP_STAGING_OVERRIDDEN"


@dataclass(frozen=True)
class Build:
    """What made the artefacts."""

    version: str
    commit: str
    repository: str
    """the branch or the tag that the commit was read from, as a git reference"""
    invocation: str
    """the release"""
    began: datetime | None
    ended: datetime | None


def attest(release: Release) -> None:
    """Write both statements beside the artefacts."""
    verify_checksums(release, STAGE)
    require_staging(release)
    connection = release.environment(STAGE).signing_connection
    key = signing_key(release.secrets(connection), connection)
    folder, plan = release.folder / "artefacts", release.plan
    chosen, built = (
        require_recorded(release, "candidate.chosen"),
        require_recorded(release, "build.checksums"),
    )
    branch = f"refs/heads/{chosen.data['branch']}"
    made = Build(plan.to_version, candidate(release), branch, release.id, chosen.at, built.at)
    attest_build(folder, plan, made, key)
    _write(folder / STAGING_FILE, SUMMARY, _summary(release, folder), key)
    for name, kind in ((PROVENANCE_FILE, PROVENANCE), (STAGING_FILE, SUMMARY)):
        _record(release, folder / name, kind, fingerprint(key.public_key()))


def attest_build(folder: Path, plan: Plan, made: Build, key: EllipticCurvePrivateKey) -> None:
    """Write the provenance of the artefacts in `folder`."""
    _write(folder / PROVENANCE_FILE, PROVENANCE, _provenance(plan, made), key)


def _write(to: Path, kind: str, predicate: Mapping[str, Any], key: EllipticCurvePrivateKey) -> None:
    write_statement(to, kind, Statement(subjects(to.parent), predicate), partial(der_signature, key))


def _provenance(plan: Plan, made: Build) -> dict[str, Any]:
    parameters = {"platform": plan.platform, "plan": plan_uri(plan), "version": made.version}
    source = {"uri": f"git+{plan.platform}@{made.repository}", "digest": {"gitCommit": made.commit}}
    times = {"startedOn": made.began, "finishedOn": made.ended}
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": parameters,
            "resolvedDependencies": [source, plan_resource(plan)],
        },
        "runDetails": {
            "builder": {"id": BUILDER},
            "metadata": {
                "invocationId": made.invocation,
                **{name: at.isoformat() for name, at in times.items() if at is not None},
            },
        },
    }


def _summary(release: Release, folder: Path) -> dict[str, Any]:
    plan = release.plan
    gate = require_recorded(release, "gate.verdict", STAGING_GATE)
    environment = release.environment("staging").name
    smoke = [
        require_recorded(release, "smoke.result", f"{environment}/{plan.to_version}/{name}")
        for name in plan.staging.smoke
    ]
    provenance = file_digest(folder / PROVENANCE_FILE).removeprefix("sha256:")
    return {
        "verifier": {"id": f"urn:roundtrip:environment:{environment}"},
        "timeVerified": max(event.at for event in (gate, *smoke)).isoformat(),
        "resourceUri": f"pkg:generic/{plan.platform}@{plan.to_version}",
        "policy": plan_resource(plan),
        "inputAttestations": [{"uri": PROVENANCE_FILE, "digest": {"sha256": provenance}}],
        "verificationResult": "PASSED",
        "verifiedLevels": ["SLSA_BUILD_LEVEL_1", OVERRIDDEN if gate.data.get("overridden") else PASSED],
        "slsaVersion": SLSA_VERSION,
    }


def _record(release: Release, file: Path, kind: str, key: str) -> None:
    data = {"file": file.name, "digest": file_digest(file), "predicate_type": kind, "key_fingerprint": key}
    event = release.ledger.append_once(release.id, "sign.attested", file.name, data)
    if event.data["digest"] != data["digest"]:
        raise ArtefactError(
            f"expected {event.data['digest']}, which this release has said before, got {data['digest']}",
            where=str(file),
            remedy="the plan or a verdict has changed since; start a new release",
        )
    log.info("%s: signed, %s", file.name, kind)
