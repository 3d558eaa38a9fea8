"""A release that was built, as the sign section finds it: small bundles, SBOM, zip, checksums, a commit, keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from roundtrip import durable
from roundtrip.build.archive import write_checksums, write_zip
from roundtrip.build.images.components import document
from roundtrip.forge.git import Git
from roundtrip.plan.environment import ComposeTargetSettings, image_settings
from roundtrip.release import Release
from roundtrip.sign.attesting import attest
from roundtrip.sign.publishing import publish
from roundtrip.sign.signing import sign_artefacts, tag_release
from roundtrip.targets.bundles import BundleStore, Manifest, file_digest, pack
from tests.build.platform import Platform, make_platform

SERVICES = ("web", "worker")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    made = make_platform(tmp_path)
    made.lay()
    return made


def built(
    platform: Platform,
    name: str = "r1",
    text: str = "works",
    *,
    bend: Callable[[Path], None] = lambda _: None,
    images: Mapping[str, str] | None = None,
    **staging: Any,
) -> Release:
    """A release that has been built and staged; `text` is what its services do, `bend` changes the bundles.

    With `images`, digests by service, it is one into environments of images.
    """
    release = platform.release(name)
    folder, version = release.folder / "artefacts", platform.plan.to_version
    if images is not None:
        release = of_images(release)
        write_about_images(folder, version, images)
        for service, digest in images.items():
            about = {"service": service, "version": version, "digest": digest}
            release.ledger.append_once(name, "build.image", f"{service}@{version}", about)
    bundles = make_artefacts(platform, folder, version, text, bend)
    for service, file in bundles.items():
        digest = BundleStore(platform.home.store).put(file)
        about = {"service": service, "version": version, "digest": digest}
        release.ledger.append_once(name, "build.bundle", f"{service}@{version}", about)
    digest = file_digest(folder / "SHA256SUMS")
    about = {"file": "SHA256SUMS", "digest": digest}
    release.ledger.append_once(name, "build.checksums", "SHA256SUMS", about)
    staged(release, **staging)
    return release


def of_images(release: Release) -> Release:
    """The release into environments of images, in a registry that is not there unless they have one."""
    if image_settings(release.environments) is not None:
        return release
    settings = ComposeTargetSettings(kind="compose", registry="127.0.0.1:1")
    environments = {
        stage: environment.model_copy(update={"target": settings})
        for stage, environment in release.environments.items()
    }
    return replace(release, environments=environments)


def write_about_images(folder: Path, version: str, images: Mapping[str, str]) -> None:
    """What the build section leaves in `folder` of images, digests by service."""
    durable.write_json(folder / "images.json", {"version": version, "images": images})
    for service, digest in images.items():
        part = {"bom-ref": "base", "type": "library", "name": "base", "version": version}
        sbom = folder / f"{service}-{version}.image.cdx.json"
        durable.write_json(sbom, document(service, version, digest, [part]))


def staged(
    release: Release, *, verdict: Mapping[str, Any] = {"verdict": "PASS"}, smoke_ok: bool = True
) -> None:
    """What staging's gate and smoke tests leave behind."""
    environment, version = release.environment("staging").name, release.plan.to_version
    judged = {"reason": "of the test", "environment": environment, "metrics": {}, **verdict}
    release.ledger.append_once(release.id, "gate.verdict", "staging.canary", judged)
    for test in release.plan.staging.smoke:
        key = f"{environment}/{version}/{test}"
        release.ledger.append_once(release.id, "smoke.result", key, {"ok": smoke_ok, "detail": "of the test"})


def make_artefacts(
    platform: Platform, folder: Path, version: str, text: str, bend: Callable[[Path], None] = lambda _: None
) -> dict[str, Path]:
    """What the build section leaves in `folder`; the bundles by service."""
    folder.mkdir(parents=True, exist_ok=True)
    bundles = {}
    for service in SERVICES:
        content = folder.parent / f"content-{folder.name}-{version}-{service}"
        content.mkdir(exist_ok=True)
        (content / "main.py").write_text(f"print({text!r})\n")
        bundles[service] = folder / f"{service}-{version}.tar.gz"
        pack(content, Manifest(service, version, ("{python}", "main.py"), "python"), bundles[service])
    bend(folder)
    (folder / "sbom.cdx.json").write_text(json.dumps({"bomFormat": "CycloneDX", "text": text}))
    images = [path.name for pattern in ("images.json", "*.image.cdx.json") for path in folder.glob(pattern)]
    inside = [*(file.name for file in bundles.values()), "sbom.cdx.json", *sorted(images)]
    write_checksums(folder, inside)
    git = Git(platform.home.repository)
    place = folder / f"Tiny_Platform-{version}.zip"
    write_zip(place, folder, [*inside, "SHA256SUMS"], git=git, commit="main", plan=platform.plan, made={})
    write_checksums(folder, [*inside, place.name])
    return bundles


def signed(release: Release) -> Release:
    """The steps of the sign section."""
    tag_release(release)
    sign_artefacts(release)
    attest(release)
    publish(release)
    return release


@pytest.fixture
def published(platform: Platform) -> Release:
    return signed(built(platform))


@pytest.fixture
def flip() -> Callable[[Path], None]:
    """Flip one bit in the middle of a file."""

    def flip_in(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)

    return flip_in
