"""A signed release that is about to be deployed, beside a published stable one, and a target that notes what it is told.

The target unpacks every bundle from the store by its digest, as the local target does, before it says that it runs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from roundtrip.errors import RoundtripError
from roundtrip.plan.deployment import Deployment, whole
from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Demands, Sign
from roundtrip.production import rollout
from roundtrip.release import Release
from roundtrip.rollback import restoring
from roundtrip.sign.attesting import Build, attest_build
from roundtrip.sign.keys import signing_key
from roundtrip.sign.publishing import publish_folder
from roundtrip.sign.signing import sign_folder
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.targets.protocol import Progress
from tests.build.platform import Platform, make_platform
from tests.containers.registry import Registry
from tests.sign.conftest import built, make_artefacts, signed, write_about_images

NAME = "r1"
STABLE, NEW = "1.0.0", "1.1.0"
DEMANDING = Sign(demands=Demands(images=["signature", "provenance", "staging", "sbom"]))
"""all that a plan can demand of images"""


@dataclass(frozen=True)
class Images:
    """What both versions' images are, in a registry."""

    registry: Registry
    digests: Mapping[str, Mapping[str, str]]
    """version -> service -> digest"""


@dataclass
class NotingTarget:
    """One environment in memory."""

    store: BundleStore | None
    """None: it takes images"""
    unpacked: Path
    services: tuple[str, ...]
    placed: Deployment = field(default_factory=Deployment)
    told: list[Deployment] = field(default_factory=list)

    def observe(self) -> Deployment:
        return self.placed

    def converge(self, desired: Deployment, token: int, progress: Progress = lambda _: None) -> Deployment:
        for bundle in sorted({p.bundle for p in desired.placements}) if self.store is not None else ():
            self.store.open(bundle, self.unpacked / bundle.removeprefix("sha256:"))
        self.told.append(desired)
        self.placed = desired
        return desired

    def configurations(self, version: str) -> Mapping[str, str]:
        return {service: f"sha256:configuration-{service}-{version}" for service in self.services}


@dataclass
class World:
    """What an attack may bend."""

    platform: Platform
    release: Release
    targets: Mapping[str, NotingTarget]
    """by stage"""
    images: Images | None = None
    """where the release goes to environments of images"""

    @property
    def keys(self) -> dict[str, str]:
        return self.platform.keys

    def folder(self, version: str = NEW) -> Path:
        return self.release.home.releases / f"v{version}"

    def assets(self, version: str = NEW) -> Path:
        return self.folder(version) / "assets"

    def bundle(self, service: str, version: str = NEW) -> Path:
        return self.assets(version) / f"{service}-{version}.tar.gz"

    def stored(self, service: str, version: str = NEW) -> Path:
        return self.release.home.store / f"{file_digest(self.bundle(service, version))[7:]}.tar.gz"


def make(folder: Path, bend: Callable[[Path], None] = lambda _: None, images: Images | None = None) -> World:
    """Both versions built, signed and published; `bend` is given the folder of the new version's bundles."""
    platform = make_platform(folder)
    if images is not None:
        plan = platform.plan.model_copy(update={"sign": DEMANDING})
        platform = replace(platform, plan=plan, target=_of(images.registry))
    platform.lay()
    _publish_stable(platform, images)
    release = built(platform, NAME, bend=bend, images=images.digests[NEW] if images else None)
    _note_the_rest(release)
    signed(release)
    return opened(platform, images)


def copied(world: World, to: Path, registry: Registry | None = None) -> World:
    """The same in another folder; where there are images, in another registry with the same content."""
    shutil.copytree(world.platform.home.root, to / "home", symlinks=True)
    platform, images = replace(world.platform, home=Home(to / "home"), keys=dict(world.keys)), world.images
    if images is not None and registry is not None:
        platform, images = replace(platform, target=_of(registry)), replace(images, registry=registry)
    return opened(platform, images)


def _of(registry: Registry) -> ComposeTargetSettings:
    return ComposeTargetSettings(kind="compose", registry=registry.address)


def opened(platform: Platform, images: Images | None = None) -> World:
    """What lies there, as it stands before production's first wave."""
    release = platform.release(NAME)
    plan, store = release.plan, None if images else BundleStore(platform.home.store)
    targets = {
        stage: NotingTarget(store, platform.home.root / "unpacked" / stage, tuple(plan.services))
        for stage in release.environments
    }

    def open_target(environment: Environment) -> NotingTarget:
        return targets[environment.stage]

    for stage, version in (("production", STABLE), ("staging", NEW)):
        files = {
            service: platform.home.releases / f"v{version}" / "assets" / f"{service}-{version}.tar.gz"
            for service in plan.services
        }
        bundles = {service: file_digest(file) for service, file in files.items()}
        digests = images.digests[version] if images else bundles
        flags = {flag: stage == "staging" and flag in plan.production.flags_on for flag in plan.flags}
        configurations = targets[stage].configurations(version)
        targets[stage].placed = whole(version, plan, digests, configurations).with_flags(flags)
    return World(platform, replace(release, open_target=open_target), targets, images)


def verify(world: World, act: Callable[[World], None]) -> list[str]:
    """Have production verified; why it was refused."""
    act(world)
    return [_tried(lambda: rollout.verify(world.release))]


def go_forward(world: World, act: Callable[[World], None], *, late: bool) -> list[str]:
    """Have production verified and its first wave begin, as two tasks; why each was refused.

    `late`: the attack comes between both. Otherwise the wave is tried whatever `verify` has said, as when a person marks
    that task as success.
    """
    release = world.release
    if not late:
        act(world)
    refused = [_tried(lambda: rollout.verify(release))]
    if late:
        act(world)
    data = {"deployment": world.targets["production"].placed.to_json(), "redis": {}, "routes": {}}
    name = release.environment("production").name
    release.ledger.append_once(release.id, "snapshot.taken", name, data)
    refused.append(_tried(lambda: rollout.wave(release, 1)))
    return refused


def go_back(world: World, act: Callable[[World], None]) -> list[str]:
    """Deploy the first wave, attack, and try to deploy the last known good; why it was refused."""
    assert go_forward(world, lambda _: None, late=False) == ["", ""]
    world.targets["production"].told.clear()
    act(world)
    return [_tried(lambda: restoring.deploy_last_known_good(world.release))]


def _tried(step: Callable[[], None]) -> str:
    """Why it was refused; empty when it was not."""
    try:
        step()
    except RoundtripError as error:
        return str(error)
    return ""


def _publish_stable(platform: Platform, images: Images | None) -> None:
    folder = platform.home.root / "stable"
    if images is not None:
        write_about_images(folder, STABLE, images.digests[STABLE])
    bundles = make_artefacts(platform, folder, STABLE, "the old way")
    for file in bundles.values():
        BundleStore(platform.home.store).put(file)
    key = signing_key(platform.keys, "signing")
    sign_folder(folder, key)
    made = Build(STABLE, "c0ffee", "refs/tags/v1.0.0", "set-up", None, None)
    attest_build(folder, platform.plan, made, key)
    publish_folder(folder, platform.home, platform.plan, STABLE, "c0ffee")


def _note_the_rest(release: Release) -> None:
    """What a release has in its ledger before it comes to production."""
    names = {stage: one.name for stage, one in release.environments.items()}
    release.ledger.append_once(release.id, "release.started", "started", {"environments": names})
    for kind in ("checklist.passed", "build.sbom"):
        release.ledger.append_once(release.id, kind, kind, {})
    for service in release.plan.services:
        for kind in ("build.reproduced", "build.image_reproduced"):
            release.ledger.append_once(release.id, kind, service, {"same": True})
