"""The rules by which it is believed that a release was built from its commit and has passed staging.

Both are statements by the trusted key (`statements`), published beside the files that they are about.
  (1) Both are about the files that `SHA256SUMS` names, `SHA256SUMS` itself, and nothing else, each by its digest.
  (2) The provenance names this platform and version and, of the new version, this plan and the commit that this release has
      chosen. The stable version was built by an earlier plan.
  (3) Staging's summary says PASSED, by the plan in the form that it has now, and rests on the provenance that lies beside it.
  (4) Staging's summary is not older than the plan allows. Its age counts on the way forward only.
Which of them a version needs, the plan says (`sign.demands`). What is there and not demanded is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from roundtrip.errors import ArtefactError
from roundtrip.plan.loading import digest
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import file_digest
from roundtrip.verification.published import CHECKSUMS, read_checksums, refused
from roundtrip.verification.statements import PROVENANCE, SUMMARY, Statement, read_statement
from roundtrip.verification.summary import Resource, Summary

PROVENANCE_FILE = "provenance.intoto.json"
STAGING_FILE = "staging.intoto.json"
FILES: Mapping[str, str] = {"provenance": PROVENANCE_FILE, "staging": STAGING_FILE}
"""what `sign.demands` calls it -> its file in the release"""
CLOCK_SKEW = timedelta(days=1)
"""how far ahead the clock of who has signed may be"""


@dataclass(frozen=True)
class Expected:
    """What a release's attestations have to say."""

    plan: Plan
    version: str
    commit: str | None
    """None: of the stable version, which was chosen by an earlier release"""
    now: datetime


def verify_attestations(assets: Path, expected: Expected, key: EllipticCurvePublicKey) -> dict[str, str]:
    """Digest of each attestation that the plan demands of this version. Raises ArtefactError."""
    is_stable = expected.version == expected.plan.from_version
    demands = expected.plan.sign.demands
    demanded: list[str] = list(demands.stable if is_stable else demands.new)
    about = subjects(assets)
    if "provenance" in demanded:
        _require_provenance(assets, read_about(assets, PROVENANCE_FILE, PROVENANCE, about, key), expected)
    if "staging" in demanded:
        said = read_about(assets, STAGING_FILE, SUMMARY, about, key)
        _require_staging(assets, Summary.model_validate(said.predicate), expected)
    return {name: file_digest(assets / FILES[name]) for name in demanded}


def read_about(
    assets: Path, name: str, predicate_type: str, about: Mapping[str, str], key: EllipticCurvePublicKey
) -> Statement:
    """The statement in the file of that name, which is about these files alone (1). Raises ArtefactError."""
    said = read_statement(assets / name, predicate_type, key)
    for subject in sorted({*said.subjects, *about}):
        if said.subjects.get(subject) != about.get(subject):
            raise refused(
                assets / name,
                f"{subject}: expected {about.get(subject, 'no such file')}, got {said.subjects.get(subject, 'none')}",
            )
    return said


def subjects(assets: Path) -> dict[str, str]:
    """What a statement about the artefacts in this folder is about (1). Raises ArtefactError."""
    return {**read_checksums(assets / CHECKSUMS), CHECKSUMS: file_digest(assets / CHECKSUMS)}


def plan_uri(plan: Plan) -> str:
    """How statements name a plan."""
    return f"urn:roundtrip:plan:{plan.name}"


def plan_resource(plan: Plan) -> dict[str, Any]:
    """A plan in the form that it has now."""
    return {"uri": plan_uri(plan), "digest": {"sha256": _hex(digest(plan))}}


def _require_provenance(assets: Path, said: Statement, expected: Expected) -> None:
    definition = said.predicate.get("buildDefinition") or {}
    parameters = definition.get("externalParameters") or {}
    wanted = {"platform": expected.plan.platform, "version": expected.version}
    if expected.commit is not None:
        wanted["plan"] = plan_uri(expected.plan)
    got = {name: parameters.get(name) for name in wanted}
    if got != wanted:
        raise refused(assets / PROVENANCE_FILE, f"expected {wanted}, got {got}")
    made_of = [one.get("digest") or {} for one in definition.get("resolvedDependencies") or []]
    commits = [digests["gitCommit"] for digests in made_of if "gitCommit" in digests]
    if expected.commit is not None and commits != [expected.commit]:
        raise refused(
            assets / PROVENANCE_FILE,
            f"expected commit {expected.commit}, chosen by this release, got {', '.join(commits) or 'none'}",
        )


def _require_staging(assets: Path, said: Summary, expected: Expected) -> None:
    file = assets / STAGING_FILE
    if said.verification_result != "PASSED":
        raise refused(file, f"expected PASSED, got {said.verification_result}")
    by = Resource.model_validate(plan_resource(expected.plan))
    if said.policy != by:
        raise refused(file, f"expected staging by the plan as it is, {by}, got {said.policy}")
    rests_on = {one.digest.get("sha256") for one in said.input_attestations}
    if _hex(file_digest(assets / PROVENANCE_FILE)) not in rests_on:
        raise refused(file, f"does not rest on the {PROVENANCE_FILE} beside it")
    at = said.time_verified
    age = expected.now - (at if at.tzinfo else at.replace(tzinfo=UTC))
    if not -CLOCK_SKEW <= age <= timedelta(days=expected.plan.sign.staging_days):
        raise ArtefactError(
            f"staging has passed at {at}, {age / timedelta(days=1):.1f} days ago; "
            f"the plan allows {expected.plan.sign.staging_days:g}",
            where=str(file),
            remedy="release again, so that staging judges it today",
        )


def _hex(sha256: str) -> str:
    return sha256.removeprefix("sha256:")
