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
from roundtrip.errors import BuildError, PlanError, PromotionError
from roundtrip.forge import Forge
from roundtrip.forge.git import Git
from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout.verdicts import candidate
from roundtrip.targets.compose.engine import connect
from roundtrip.targets.compose.overlay import REVISION, SECTION, TITLE
from roundtrip.toolchain.folders import locked
from roundtrip.verification.published import IMAGES, services_of

log = logging.getLogger(__name__)

SHOWN = 12
"""of what differs between two images, as many are named; the rest is counted"""


def images_of(environments: Mapping[str, Environment]) -> ComposeTargetSettings | None:
    """How the images of these environments are made; None when none takes any. Raises PlanError."""
    found = [place.target for place in environments.values()]
    takes = [one for one in found if isinstance(one, ComposeTargetSettings)]
    if not takes:
        return None
    if len({(one.engine, one.registry, json.dumps(one.build.model_dump())) for one in takes}) > 1:
        raise PlanError(
            "target: expected one engine, registry and build for all environments of a release, got several",
            where=", ".join(place.name for place in environments.values()),
            remedy="give each environment the same engine, registry and build",
        )
    return takes[0]


def build_image(release: Release, service: str) -> None:
    """Build the service's image and publish it, when an environment of the release takes images."""
    if (settings := images_of(release.environments)) is None:
        return
    began, version, commit = time.monotonic(), release.plan.to_version, candidate(release)
    file = _file(release, service, "first")
    made = Sources(release.plan, release.repository, commit, version, settings)
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
    if (event.data["digest"], event.data["id"]) != (digest, identity):
        raise BuildError(
            f"the image of {service}: expected {event.data['digest']} as this release has recorded, got {digest}",
            where=release.id,
            remedy="the source, its base or the engine changed since; start a new release",
        )
    log.info(
        "%s %s: image %s, %d bytes, in %s s", service, version, digest, data["size_bytes"], data["seconds"]
    )


def reproduce_image(release: Release, service: str) -> None:
    """Build the image again from the first line of its Dockerfile. Raises BuildError naming what differs."""
    if (settings := images_of(release.environments)) is None:
        return
    began, version = time.monotonic(), release.plan.to_version
    built = release.ledger.last(release.id, "build.image", f"{service}@{version}")
    if built is None:
        raise PromotionError(
            f"the image of {service} was not built", where=release.id, remedy="run its build"
        )
    again = _file(release, service, "second")
    made = Sources(release.plan, release.repository, candidate(release), version, settings)
    second, first = made.built(service, again, fresh=True), str(built.data["id"])
    data = {"first": first, "second": second, "same": first == second}
    data["seconds"] = round(time.monotonic() - began, 1)
    event = release.ledger.append_once(release.id, "build.image_reproduced", service, data)
    before = _file(release, service, "first")
    if not event.data["same"]:
        raise _differs(service, before, again)
    for file in (before, again):
        file.unlink(missing_ok=True)
    log.info("the image of %s: built twice, the same id, in %s s", service, data["seconds"])


def write_images(release: Release, folder: Path) -> None:
    """Write `images.json` into `folder`, when an environment of the release takes images. Raises PromotionError."""
    if images_of(release.environments) is None:
        return
    version, digests = release.plan.to_version, {}
    for service in services_of(release.plan, version):
        event = release.ledger.last(release.id, "build.image", f"{service}@{version}")
        if event is None:
            raise PromotionError(
                f"the image of {service} was not built", where=release.id, remedy="run its build"
            )
        digests[service] = str(event.data["digest"])
    _write(folder, version, digests)


def make_stable_images(
    plan: Plan, repository: Path, commit: str, folder: Path, settings: ComposeTargetSettings
) -> None:
    """The stable version's images into the registry, and `images.json` into `folder`."""
    version, scratch = plan.from_version, folder / "images"
    made = Sources(plan, repository, commit, version, settings)
    digests = {}
    for service in services_of(plan, version):
        _, digests[service] = made.published(service, scratch / f"{service}.tar")
    shutil.rmtree(scratch)
    _write(folder, version, digests)


class Sources:
    """The services of one commit as images. Each build has a checkout of its own, which is gone afterwards."""

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


def _differs(service: str, first: Path, second: Path) -> BuildError:
    names = differences(first, second) if first.exists() else []
    if not names:
        what = f"the image of {service}: built the same now, but not in an earlier run of this step"
        return BuildError(
            what, where=str(second), remedy="find out what differed then, and start a new release"
        )
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return BuildError(
        f"the image of {service}: built twice, {len(names)} things differ: {', '.join(names[:SHOWN])}{more}",
        where=f"{first} and {second}",
        remedy="find what of the clock, the network or chance gets into them; then start a new release",
    )
