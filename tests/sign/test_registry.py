"""Images in a real registry, signed and believed by the real cosign, both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from roundtrip.errors import ArtefactError, HostError, TargetError
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.plan.model import Demands, Sign
from roundtrip.release import Release
from roundtrip.rollout.opening import open_release
from roundtrip.sign.images import sign_image, sign_images
from roundtrip.sign.keys import signing_key
from roundtrip.toolchain import cosign as program
from roundtrip.toolchain.cosign import Cosign
from roundtrip.verification import verify_signatures
from roundtrip.verification.statements import PROVENANCE, SBOM, SUMMARY
from tests.build.platform import Platform
from tests.containers import registry
from tests.containers.registry import Registry
from tests.sign.conftest import SERVICES, built, signed
from tests.sign.cosign import WHY_NONE, cosign

EVERYTHING = Sign(demands=Demands(images=["signature", "provenance", "staging", "sbom"]))
BY_KEY = ("--private-infrastructure", "--key")


@dataclass(frozen=True)
class Images:
    """A platform whose images are in a registry."""

    platform: Platform
    registry: Registry
    digests: dict[str, str]

    def name(self, service: str) -> str:
        return f"{self.registry.address}/{service}@{self.digests[service]}"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Registry]:
    if reason := WHY_NONE or registry.why_none():
        pytest.skip(reason)
    with registry.registry(tmp_path) as made:
        yield made


@pytest.fixture
def images(platform: Platform, there: Registry) -> Images:
    digests = {service: there.push(service, service.encode()) for service in SERVICES}
    target = ComposeTargetSettings(kind="compose", registry=there.address)
    plan = platform.plan.model_copy(update={"sign": EVERYTHING})
    return Images(replace(platform, plan=plan, target=target), there, digests)


@pytest.fixture
def released(images: Images) -> Release:
    return signed(built(images.platform, images=images.digests))


def test_what_is_signed_and_said_is_believed_before_a_deploy(images: Images, released: Release) -> None:
    assert verify_signatures(released, "production", "1.1.0") == images.digests
    signed_there = {event.key: event.data["image"] for event in released.ledger.events(kind="sign.image")}
    assert signed_there == {service: images.name(service) for service in SERVICES}


def test_cosign_believes_what_we_have_signed(images: Images, released: Release, tmp_path: Path) -> None:
    key = tmp_path / "trusted.pub"
    key.write_text(images.platform.keys["public_key"])
    for service in SERVICES:
        done = cosign(tmp_path, "verify", *BY_KEY, str(key), images.name(service))
        assert done.returncode == 0, done.stderr
        [claim] = json.loads(done.stdout)
        assert claim["critical"]["image"] == {"docker-manifest-digest": images.digests[service]}
        for kind in ("slsaprovenance1", SUMMARY, "cyclonedx"):
            done = cosign(
                tmp_path, "verify-attestation", "--type", kind, *BY_KEY, str(key), images.name(service)
            )
            assert done.returncode == 0, done.stderr


def test_we_believe_what_cosign_has_signed(images: Images, tmp_path: Path) -> None:
    assert cosign(tmp_path, "generate-key-pair").returncode == 0
    predicate = tmp_path / "predicate.json"
    predicate.write_text(json.dumps({"bomFormat": "CycloneDX", "components": []}))
    image, by = images.name("web"), ("--yes", "--tlog-upload=false", "--key", "cosign.key")
    for command in (("sign", *by), ("attest", "--type", "cyclonedx", "--predicate", str(predicate), *by)):
        done = cosign(tmp_path, *command, image)
        assert done.returncode == 0, done.stderr
    key = (tmp_path / "cosign.pub").read_text()
    program.required().require_signed(image, key)
    [statement] = program.required().statements(image, SBOM, key)
    assert statement["predicate"] == {"bomFormat": "CycloneDX", "components": []}
    with pytest.raises(ArtefactError, match="no matching signatures"):
        program.required().require_signed(image, images.platform.keys["public_key"])


def test_signing_again_lays_nothing_down_again(images: Images, released: Release) -> None:
    def laid() -> list[dict[str, object]]:
        tags = [
            f"{images.digests[service].replace(':', '-')}.{kind}"
            for service in SERVICES
            for kind in ("sig", "att")
        ]
        return [images.registry.manifest(SERVICES[at // 2], tag) for at, tag in enumerate(tags)]

    before = laid()
    assert [len(manifest["layers"]) for manifest in before] == [1, 3] * len(SERVICES)
    sign_images(released)
    assert laid() == before


def test_signing_that_was_cut_off_goes_on(images: Images) -> None:
    service = SERVICES[0]
    key, repository = signing_key(images.platform.keys, "signing"), f"{images.registry.address}/{service}"
    said = {SBOM: {"bomFormat": "CycloneDX"}, PROVENANCE: _provenance()}
    cut_off = _CutOff(program.required().program)
    with pytest.raises(KeyboardInterrupt):
        sign_image(cut_off, repository, images.digests[service], said, key)
    sign_image(program.required(), repository, images.digests[service], said, key)
    manifest = images.registry.manifest(service, f"{images.digests[service].replace(':', '-')}.att")
    assert len(manifest["layers"]) == len(said)


def test_a_registry_that_is_away_is_no_refusal_of_its_images(images: Images, released: Release) -> None:
    away = ComposeTargetSettings(kind="compose", registry="127.0.0.1:1")
    environments = {
        stage: environment.model_copy(update={"target": away})
        for stage, environment in released.environments.items()
    }
    with pytest.raises(TargetError, match=r"cosign: .*connection refused"):
        verify_signatures(replace(released, environments=environments), "production", "1.1.0")


def test_a_plan_that_demands_it_is_refused_early_where_there_is_no_cosign(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "found", lambda: None)
    release = images.platform.release("r2")
    with pytest.raises(HostError, match=r"cosign is not on PATH.*at sign\.demands\.images"):
        open_release(release, "somebody")
    assert release.ledger.last("r2", "release.started") is None


def test_without_cosign_images_stay_unsigned_and_that_is_said(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "found", lambda: None)
    digests = {service: f"sha256:{number:064x}" for number, service in enumerate(SERVICES, 1)}
    release = signed(built(platform, images=digests))
    event = release.ledger.last(release.id, "sign.images_unsigned")
    assert event is not None
    assert event.data == {"reason": "there is no cosign on this machine"}
    assert verify_signatures(release, "production", "1.1.0") == digests


class _CutOff(Cosign):
    """Is killed once it has laid down the first statement."""

    def attach_attestation(self, image: str, envelope: Path) -> None:
        super().attach_attestation(image, envelope)
        raise KeyboardInterrupt


def _provenance() -> dict[str, object]:
    return {"buildDefinition": {"buildType": "x"}, "runDetails": {"builder": {"id": "x"}}}
