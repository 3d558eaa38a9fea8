"""SBOM, zip and checksums: complete, in the formats that others read, and the same for the same bundles."""

from __future__ import annotations

import base64
import dataclasses
import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from roundtrip.build.artefacts import artefacts, build_service, checksums, sbom
from roundtrip.build.components import locked
from roundtrip.build.made import made
from roundtrip.build.scanning import Scans
from roundtrip.build.spdx import write_spdx
from roundtrip.errors import ArtefactError, BuildError, PromotionError
from roundtrip.plan.model import Undeployed
from roundtrip.release import Release
from roundtrip.targets.bundles import file_digest
from roundtrip.verification import verify_checksums
from tests.build.platform import Platform

FILES = {
    "SHA256SUMS",
    "Tiny_Platform-1.1.0.zip",
    "sbom.cdx.json",
    "sbom.spdx.json",
    "web-1.1.0.tar.gz",
    "worker-1.1.0.tar.gz",
}


def built(platform: Platform, name: str = "r1") -> Release:
    platform.lay()
    release = platform.release(name)
    for service in ("web", "worker"):
        build_service(release, service)
    sbom(release)
    checksums(release)
    return release


def test_the_sbom_is_valid_cyclonedx_and_has_every_package_of_every_bundle(platform: Platform) -> None:
    release = built(platform)
    text = (artefacts(release) / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    components = {c["bom-ref"]: c for c in document["components"]}
    assert {"pkg:npm/ms@2.1.3", "pkg:pypi/iniconfig@2.1.0", "pkg:pypi/tiny@1.1.0"} <= set(components)
    assert "picocolors" not in text, "what only building needs is not deployed"
    depends = {d["ref"]: d["dependsOn"] for d in document["dependencies"]}
    assert depends["Tiny_Platform@1.1.0"] == ["web@1.1.0", "worker@1.1.0"]
    assert "pkg:npm/ms@2.1.3" in depends["web@1.1.0"]
    assert "pkg:npm/ms@2.1.3" not in depends["worker@1.1.0"]
    for service in ("web", "worker"):
        digest = file_digest(artefacts(release) / f"{service}-1.1.0.tar.gz").removeprefix("sha256:")
        assert components[f"{service}@1.1.0"]["hashes"] == [{"alg": "SHA-256", "content": digest}]
    recorded = release.ledger.last("r1", "build.sbom", "sbom.cdx.json").data
    assert recorded["components"] == len(components)
    assert recorded["licenses"] == {"MIT": 2, "none stated": 2}


def test_the_spdx_document_is_valid_and_has_what_the_other_has(platform: Platform) -> None:
    release = built(platform)
    file, source = (artefacts(release) / name for name in ("sbom.spdx.json", "sbom.cdx.json"))
    assert validate_full_spdx_document(parse_file(str(file))) == []
    document, components = json.loads(file.read_text()), json.loads(source.read_text())["components"]
    packages = {(one["name"], one.get("versionInfo", "")): one for one in document["packages"]}
    assert {(c["name"], c["version"]) for c in components} <= set(packages)
    digest = file_digest(artefacts(release) / "web-1.1.0.tar.gz").removeprefix("sha256:")
    assert {"algorithm": "SHA256", "checksumValue": digest} in packages["web", "1.1.0"]["checksums"]
    assert packages["ms", "2.1.3"]["licenseDeclared"] == "MIT"
    assert str(platform.home.root) not in file.read_text()


def test_the_same_sbom_gives_the_same_spdx_document(platform: Platform, tmp_path: Path) -> None:
    source = artefacts(built(platform)) / "sbom.cdx.json"
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    for name in ("one", "two"):
        write_spdx(source, tmp_path / name, changed_at=moment)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert json.loads((tmp_path / "one").read_text())["creationInfo"]["created"] == "2026-11-24T12:00:00Z"


def test_what_a_bundler_compiled_in_is_known_from_the_lockfile(platform: Platform) -> None:
    lock = platform.change / "web" / "package-lock.json"
    data = json.loads(lock.read_text())
    packages = data["packages"]
    packages["node_modules/ms/node_modules/@deep/inner"] = {
        "version": "3.2.1",
        "license": "MIT OR Apache-2.0",
        "integrity": "sha1-AAAA sha512-" + base64.b64encode(bytes(range(64))).decode(),
    }
    for number, mark in enumerate(("dev", "optional", "devOptional", "peer")):
        packages[f"node_modules/unused{number}"] = {"version": "1.0.0", mark: True}
    found = locked(json.dumps(data))
    assert set(found) == {"pkg:npm/ms@2.1.3", "pkg:npm/%40deep/inner@3.2.1"}
    inner = found["pkg:npm/%40deep/inner@3.2.1"]
    assert inner["name"] == "@deep/inner"
    assert inner["hashes"] == [{"alg": "SHA-512", "content": bytes(range(64)).hex()}]

    web = platform.plan.services["web"]
    alone = web.model_copy(update={"bundle": web.bundle.model_copy(update={"dependencies": "none"})})
    platform.plan = platform.plan.model_copy(update={"services": {**platform.plan.services, "web": alone}})
    text = (artefacts(built(platform)) / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    ms = next(c for c in json.loads(text)["components"] if c["bom-ref"] == "pkg:npm/ms@2.1.3")
    assert ms["properties"] == [{"name": "roundtrip:found-in", "value": "package-lock.json"}]


def test_a_bundle_is_scanned_once_and_a_damaged_scan_is_made_again(platform: Platform) -> None:
    release = built(platform)
    files = sorted((platform.home.cache / "scans").iterdir())
    assert len(files) == 2
    scans, bundle = Scans(platform.home.cache / "scans"), artefacts(release) / "web-1.1.0.tar.gz"
    found = scans.of(bundle)
    assert "pkg:npm/ms@2.1.3" in {component["bom-ref"] for component in found}
    for file in files:
        file.write_text("[]")
    assert scans.of(bundle) == []
    for file in files:
        file.write_text('[{"bom-')
    assert scans.of(bundle) == found
    assert sorted((platform.home.cache / "scans").iterdir()) == files


def with_function(platform: Platform) -> Release:
    """A release with a project that no target runs, made of web's sources, whose checklist has built it."""
    shutil.copytree(platform.change / "web", platform.change / "function")
    function = Undeployed(path="function", toolchain="node", output="dist", made_of=["web"])
    platform.plan = platform.plan.model_copy(update={"undeployed": {"function": function}})
    platform.lay()
    release = platform.release()
    handler = release.made / "function" / "handler.js"
    handler.parent.mkdir(parents=True)
    handler.write_text("exports.handler = () => 204;\n")
    files = {"handler.js": file_digest(handler)}
    release.ledger.append("r1", "checklist.made", {"project": "function", "files": files})
    for service in ("web", "worker"):
        build_service(release, service)
    return release


def test_what_no_target_runs_is_in_the_zip_and_in_the_sbom(platform: Platform) -> None:
    release = with_function(platform)
    sbom(release)
    checksums(release)
    with zipfile.ZipFile(artefacts(release) / "Tiny_Platform-1.1.0.zip") as archive:
        inside = "Tiny_Platform-1.1.0/platform/function/dist/handler.js"
        assert archive.read(inside) == b"exports.handler = () => 204;\n"
    text = (artefacts(release) / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document = json.loads(text)
    function = next(c for c in document["components"] if c["bom-ref"] == "function@1.1.0")
    digest = file_digest(release.made / "function" / "handler.js").removeprefix("sha256:")
    assert [(c["name"], c["hashes"][0]["content"]) for c in function["components"]] == [
        ("function/dist/handler.js", digest)
    ]
    depends = {d["ref"]: d["dependsOn"] for d in document["dependencies"]}
    assert depends["function@1.1.0"] == ["pkg:npm/ms@2.1.3", "web@1.1.0"]
    assert "function@1.1.0" in depends["Tiny_Platform@1.1.0"]


@pytest.mark.parametrize("step", [sbom, checksums])
def test_what_was_made_and_is_another_file_by_now_ends_the_step(
    platform: Platform, step: Callable[[Release], None]
) -> None:
    release = with_function(platform)
    (release.made / "function" / "handler.js").write_text("exports.handler = () => 500;\n")
    with pytest.raises(ArtefactError, match="as this release has built it, got another file or none"):
        step(release)
    assert not list(artefacts(release).glob("*.zip"))


def test_what_nobody_made_ends_the_step_but_in_a_drill(platform: Platform) -> None:
    release = with_function(platform)
    other = dataclasses.replace(release, id="r2")
    with pytest.raises(PromotionError, match="function was not built by this release"):
        made(other)
    release.ledger.append_once("r2", "release.started", "started", {"drill": True})
    assert made(other) == []


def test_a_lockfile_without_packages_is_an_error_and_not_an_empty_list() -> None:
    for text in ("", "[]", '{"lockfileVersion": 1}'):
        with pytest.raises(BuildError, match=r"package-lock\.json has no packages"):
            locked(text)


def test_the_same_bundles_give_the_same_artefacts(platform: Platform) -> None:
    first, second = built(platform, "r1"), built(platform, "r2")
    assert {p.name for p in artefacts(first).iterdir()} == FILES
    for name in FILES:
        assert (artefacts(first) / name).read_bytes() == (artefacts(second) / name).read_bytes(), name


def test_sha256sum_agrees_beside_the_artefacts_and_in_the_zip(platform: Platform, tmp_path: Path) -> None:
    release = built(platform)
    folder = artefacts(release)
    with zipfile.ZipFile(folder / "Tiny_Platform-1.1.0.zip") as archive:
        archive.extractall(tmp_path)
    inside = tmp_path / "Tiny_Platform-1.1.0"
    for place, count in ((folder, 5), (inside, 4)):
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", "SHA256SUMS"],
            cwd=place,
            capture_output=True,
            text=True,
            check=True,
        )
        assert checked.stdout.count(": OK\n") == count
    assert (inside / "platform" / "docker-compose.yml").read_text() == "# of 1.1.0\n"
    assert not (inside / "platform" / "web").exists(), "services are in their bundles"


def test_programs_in_the_zip_stay_executable(platform: Platform) -> None:
    with zipfile.ZipFile(artefacts(built(platform)) / "Tiny_Platform-1.1.0.zip") as archive:
        modes = {
            info.filename.partition("/platform/")[2]: info.external_attr >> 16 for info in archive.infolist()
        }
    assert modes["conf/start.sh"] == 0o100755
    assert modes["docker-compose.yml"] == 0o100644


def test_a_step_that_runs_again_leaves_the_same_events_and_files(platform: Platform) -> None:
    release = built(platform)
    before = {p.name: p.read_bytes() for p in artefacts(release).iterdir()}
    events = len(release.ledger.events("r1"))
    built(platform)
    assert {p.name: p.read_bytes() for p in artefacts(release).iterdir()} == before
    assert len(release.ledger.events("r1")) == events


def test_artefacts_that_are_lost_are_made_again_from_the_store(platform: Platform) -> None:
    release = built(platform)
    digest = file_digest(artefacts(release) / "SHA256SUMS")
    shutil.rmtree(artefacts(release))
    built(platform)
    assert file_digest(artefacts(release) / "SHA256SUMS") == digest


def test_what_would_be_another_artefact_than_the_recorded_one_raises(platform: Platform) -> None:
    release = built(platform)
    shutil.copy(artefacts(release) / "web-1.1.0.tar.gz", artefacts(release) / "worker-1.1.0.tar.gz")
    with pytest.raises(
        BuildError, match=r"sbom\.cdx\.json: expected sha256:\w+ as this release has recorded, got"
    ):
        sbom(release)


def test_checksums_find_one_flipped_byte_of_any_artefact_before_staging(platform: Platform) -> None:
    release = built(platform)
    assert set(verify_checksums(release, "staging")) == {"web", "worker"}
    for name in sorted(FILES):
        file = artefacts(release) / name
        whole = file.read_bytes()
        content = bytearray(whole)
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(ArtefactError, match=rf"expected sha256:\w+, got sha256:\w+ at .*{name}"):
            verify_checksums(release, "staging")
        refused = release.ledger.last("r1", "verify.refused").data
        assert name in refused["reason"] and refused["environment"] == "tiny_staging"
        file.write_bytes(whole)
    verify_checksums(release, "staging")
