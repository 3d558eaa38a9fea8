"""What is said of a release: about its files, from the ledger, the same when said again, and readable by cosign."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roundtrip.errors import ArtefactError, PromotionError
from roundtrip.plan.loading import digest
from roundtrip.release import Release
from roundtrip.sign.attesting import attest
from roundtrip.sign.signing import sign_artefacts, tag_release
from roundtrip.targets.bundles import file_digest
from roundtrip.verification.published import load_public_key
from roundtrip.verification.statements import PROVENANCE, SUMMARY, read_statement
from tests.build.platform import Platform
from tests.sign.conftest import built
from tests.sign.cosign import cosign, needs_cosign

NAMES = ("provenance.intoto.json", "staging.intoto.json")


@pytest.fixture
def release(platform: Platform) -> Release:
    made = built(platform)
    tag_release(made)
    sign_artefacts(made)
    return made


def artefacts(release: Release) -> Path:
    return release.folder / "artefacts"


def said(release: Release, name: str) -> dict[str, Any]:
    envelope = json.loads((artefacts(release) / name).read_text())
    return dict(json.loads(base64.b64decode(envelope["payload"])))


def test_the_provenance_binds_files_commit_and_plan(release: Release) -> None:
    attest(release)
    statement = said(release, NAMES[0])
    names = (
        "SHA256SUMS",
        "Tiny_Platform-1.1.0.zip",
        "sbom.cdx.json",
        "web-1.1.0.tar.gz",
        "worker-1.1.0.tar.gz",
    )
    assert {one["name"]: f"sha256:{one['digest']['sha256']}" for one in statement["subject"]} == {
        name: file_digest(artefacts(release) / name) for name in names
    }
    definition = statement["predicate"]["buildDefinition"]
    chosen = release.ledger.last("r1", "candidate.chosen")
    assert definition["externalParameters"] == {
        "platform": "Tiny_Platform",
        "plan": "urn:roundtrip:plan:tiny",
        "version": "1.1.0",
    }
    assert [one["digest"] for one in definition["resolvedDependencies"]] == [
        {"gitCommit": chosen.data["commit"]},
        {"sha256": digest(release.plan).removeprefix("sha256:")},
    ]
    assert statement["predicate"]["runDetails"]["metadata"]["invocationId"] == "r1"


def test_the_summary_rests_on_the_provenance_and_has_the_time_of_the_last_thing_looked_at(
    release: Release,
) -> None:
    attest(release)
    summary = said(release, NAMES[1])["predicate"]
    last = release.ledger.last("r1", "smoke.result")
    assert (summary["verificationResult"], summary["timeVerified"]) == ("PASSED", last.at.isoformat())
    assert summary["inputAttestations"][0]["digest"] == {
        "sha256": file_digest(artefacts(release) / NAMES[0]).removeprefix("sha256:")
    }
    assert summary["verifiedLevels"] == ["SLSA_BUILD_LEVEL_1", "ROUNDTRIP_STAGING_PASSED"]


def test_saying_it_again_says_the_same(release: Release) -> None:
    attest(release)
    before = {name: (artefacts(release) / name).read_bytes() for name in NAMES}
    for name in NAMES:
        (artefacts(release) / name).unlink()
    events = release.ledger.events("r1", kind="sign.attested")
    attest(release)
    assert {name: (artefacts(release) / name).read_bytes() for name in NAMES} == before
    assert release.ledger.events("r1", kind="sign.attested") == events


@pytest.mark.parametrize(
    "staging",
    [{"verdict": {"verdict": "FAIL"}}, {"verdict": {"verdict": "INCONCLUSIVE"}}, {"smoke_ok": False}],
)
def test_nothing_is_said_of_a_staging_that_has_not_passed(
    platform: Platform, staging: dict[str, Any]
) -> None:
    release = built(platform, **staging)
    with pytest.raises(PromotionError, match=r"expected (PASS|ok) in the ledger"):
        attest(release)
    assert not any((artefacts(release) / name).exists() for name in NAMES)


def test_a_gate_that_a_person_has_overridden_is_told_as_that(platform: Platform) -> None:
    release = built(platform, verdict={"verdict": "PASS", "overridden": {"by": "ada", "reason": "known"}})
    attest(release)
    levels = said(release, NAMES[1])["predicate"]["verifiedLevels"]
    assert levels == ["SLSA_BUILD_LEVEL_1", "ROUNDTRIP_STAGING_OVERRIDDEN"]


def test_a_plan_that_changed_since_it_was_said_is_an_error(release: Release) -> None:
    attest(release)
    changed = release.plan.model_copy(update={"flags": ["another"]})
    with pytest.raises(ArtefactError, match="which this release has said before"):
        attest(replace(release, plan=changed))


@needs_cosign
def test_cosign_believes_our_statements_and_only_about_their_files(release: Release) -> None:
    attest(release)
    folder = artefacts(release)
    ask = ("verify-blob-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog=true")
    for name, kind in zip(NAMES, (PROVENANCE, SUMMARY), strict=True):
        for file in ("web-1.1.0.tar.gz", "SHA256SUMS"):
            done = cosign(folder, *ask, "--type", kind, "--signature", name, file)
            assert done.returncode == 0, done.stderr
        assert cosign(folder, *ask, "--type", kind, "--signature", name, "cosign.pub").returncode != 0
    assert cosign(folder, *ask, "--type", SUMMARY, "--signature", NAMES[0], "SHA256SUMS").returncode != 0


@needs_cosign
def test_we_believe_what_cosign_has_said(tmp_path: Path, platform: Platform) -> None:
    (tmp_path / "blob").write_text("built by somebody else")
    (tmp_path / "predicate.json").write_text(
        json.dumps(
            {
                "buildDefinition": {"buildType": "urn:test", "externalParameters": {}},
                "runDetails": {"builder": {"id": "urn:test:builder"}},
            }
        )
    )
    assert cosign(tmp_path, "generate-key-pair").returncode == 0
    command = (
        "attest-blob",
        "--yes",
        "--key",
        "cosign.key",
        "--tlog-upload=false",
        "--type",
        "slsaprovenance1",
    )
    done = cosign(tmp_path, *command, "--predicate", "predicate.json", "--output-signature", "said", "blob")
    assert done.returncode == 0, done.stderr
    key = load_public_key((tmp_path / "cosign.pub").read_text())
    statement = read_statement(tmp_path / "said", PROVENANCE, key)
    assert list(statement.subjects.values()) == [file_digest(tmp_path / "blob")]
    with pytest.raises(ArtefactError, match="signature is not by the trusted key"):
        read_statement(tmp_path / "said", PROVENANCE, load_public_key(platform.keys["public_key"]))
