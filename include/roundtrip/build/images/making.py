"""The build section's images: each service's Dockerfile once, again from its first line, and into the registry.

Rules:
1. Images are built by a release that has an environment of images, beside the bundles; all its environments take them from one
   registry, so that production gets what staging has judged.
2. An image is in the registry before the ledger names it.
3. A service that did not give the same image twice ends the release: running the step again does not change that.
4. The stable version's images are made by the same functions when the platform is first laid.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.build.images.building import ImageRecipe, build
from roundtrip.build.images.canonical import differences
from roundtrip.build.images.composefile import FILE, Composed, composed
from roundtrip.build.images.publishing import publish
from roundtrip.build.twice import differs, require_same
from roundtrip.errors import BuildError, PromotionError
from roundtrip.forge import Forge
from roundtrip.forge.git import Git
from roundtrip.plan.environment import ComposeTargetSettings, image_settings
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout.deploying import built
from roundtrip.rollout.verdicts import candidate
from roundtrip.targets.compose.engine import connect
from roundtrip.targets.compose.overlay import REVISION, SECTION, TITLE
from roundtrip.toolchain.folders import locked
from roundtrip.verification.published import IMAGES, services_of

log = logging.getLogger(__name__)


def build_image(release: Release, service: str) -> None:
    """Build the service's image and publish it, when an environment of the release takes images."""
    if (settings := image_settings(release.environments)) is None:
        return
    began, version, commit = time.monotonic(), release.plan.to_version, candidate(release)
    file = _file(release, service, "first")
    made = CommitImages(release.plan, release.repository, commit, version, settings)
    identity, digest = made.published(service, file)
    data: dict[str, Any] = {
        "service": service,
        "version": version,
        "commit": commit,
        "digest": digest,
        "id": identity,
        "name": f"{settings.registry}/{service}",
        "size_bytes": file.stat().st_size,
        "seconds": round(time.monotonic() - began, 1),
    }
    event = release.ledger.append_once(release.id, "build.image", f"{service}@{version}", data)
    require_same(event, digest, f"the image of {service}")
    log.info(
        "%s %s: image %s, %d bytes, in %s s", service, version, digest, data["size_bytes"], data["seconds"]
    )


def reproduce_image(release: Release, service: str) -> None:
    """Build the image again from the first line of its Dockerfile. Raises BuildError naming what differs."""
    if (settings := image_settings(release.environments)) is None:
        return
    began, version = time.monotonic(), release.plan.to_version
    recorded = release.ledger.last(release.id, "build.image", f"{service}@{version}")
    if recorded is None:
        raise PromotionError(
            f"the image of {service} was not built", where=release.id, remedy="run its build"
        )
    again = _file(release, service, "second")
    made = CommitImages(release.plan, release.repository, candidate(release), version, settings)
    second, first = made.built(service, again, fresh=True), str(recorded.data["id"])
    data = {"first": first, "second": second, "same": first == second}
    data["seconds"] = round(time.monotonic() - began, 1)
    event = release.ledger.append_once(release.id, "build.image_reproduced", service, data)
    before = _file(release, service, "first")
    if not event.data["same"]:
        names = differences(before, again) if before.exists() else []
        raise differs(f"the image of {service}", names, before, again)
    for file in (before, again):
        file.unlink(missing_ok=True)
    log.info("the image of %s: built twice, the same id, in %s s", service, data["seconds"])


def write_images(release: Release, folder: Path) -> None:
    """Write `images.json` into `folder`, when an environment of the release takes images. Raises ArtefactError."""
    stages = [stage for stage, environment in release.environments.items() if environment.form == "image"]
    if stages:
        _write(folder, release.plan.to_version, built(release, stages[0]))


def make_stable_images(
    plan: Plan, repository: Path, commit: str, folder: Path, settings: ComposeTargetSettings
) -> None:
    """The stable version's images into the registry, and `images.json` into `folder`."""
    version, scratch = plan.from_version, folder / "images"
    made = CommitImages(plan, repository, commit, version, settings)
    digests = {}
    for service in services_of(plan, version):
        _, digests[service] = made.published(service, scratch / f"{service}.tar")
    shutil.rmtree(scratch)
    _write(folder, version, digests)


class CommitImages:
    """The images of the services at one commit. Each build has a checkout of its own, which is gone afterwards."""

    def __init__(
        self, plan: Plan, repository: Path, commit: str, version: str, settings: ComposeTargetSettings
    ) -> None:
        self._plan = plan
        self._repository = repository
        self._commit = commit
        self._version = version
        self._settings = settings

    def built(self, service: str, to: Path, *, fresh: bool = False) -> str:
        """Build into the file `to`; the image's id. Raises BuildError, HostError."""
        folder = to.with_suffix("")
        with locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
            source = Forge(self._repository, self._plan.repository).checkout(self._commit, folder / "source")
            with closing(connect(self._settings.engine)) as client:
                identity = build(client, self._recipe(service, source), to, log.info, fresh=fresh)
            shutil.rmtree(folder, ignore_errors=True)
        return identity

    def published(self, service: str, to: Path) -> tuple[str, str]:
        """Build into the file `to` and publish that: (the image's id, its digest in the registry)."""
        identity = self.built(service, to)
        with closing(connect(self._settings.engine)) as client:
            return identity, publish(client, to, identity, f"{self._settings.registry}/{service}")

    def _recipe(self, service: str, source: Path) -> ImageRecipe:
        found = self._composed(service, source)
        context = found.context.as_posix()
        changed_at = Git(self._repository).text("log", "-1", "--format=%ct", self._commit, "--", context)
        settings = self._settings.build
        return ImageRecipe(
            service,
            self._version,
            source / context,
            found.dockerfile,
            found.target,
            {**found.arguments, **settings.arguments.get(service, {})},
            {TITLE: service, REVISION: self._version, SECTION: json.dumps(found.section, sort_keys=True)},
            int(changed_at),
            settings.network,
        )

    def _composed(self, service: str, source: Path) -> Composed:
        services = composed(source, log.info)
        if service not in services:
            raise BuildError(
                f"expected a service '{service}' with a build, got {', '.join(services) or 'none'}",
                where=f"{FILE} at commit {self._commit}",
                remedy="name it there as the plan does",
            )
        return services[service]


def _file(release: Release, service: str, name: str) -> Path:
    return release.folder / "build" / "images" / name / f"{service}.tar"


def _write(folder: Path, version: str, digests: Mapping[str, str]) -> None:
    durable.write_json(folder / IMAGES, {"version": version, "images": dict(digests)})
