"""The build section's steps: each service once, each again elsewhere, then SBOM, zip and checksums of all.

Rules:
1. A release's artefacts are what the ledger says: a step that runs again makes the same, or raises.
2. A bundle is in the store before the ledger names it.
3. A service that did not build the same twice ends the release: running the step again does not change that.
4. `make_stable` makes the stable version by the same functions when the platform is first laid.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath

from roundtrip.build.archive import ZIP_ENDING, write_checksums, write_zip
from roundtrip.build.cached import BuildCache, Entry, key_of
from roundtrip.build.components import licenses, write_sbom
from roundtrip.build.images.components import write_image_sboms
from roundtrip.build.images.making import build_image, make_stable_images, reproduce_image, write_images
from roundtrip.build.made import made
from roundtrip.build.recipe import Recipe, recipe
from roundtrip.build.scanning import Scans
from roundtrip.build.spdx import write_spdx
from roundtrip.build.twice import differs, require_same
from roundtrip.errors import PromotionError
from roundtrip.forge import Forge, open_forge
from roundtrip.forge.git import Git
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.rollout.verdicts import candidate
from roundtrip.targets.bundles import BundleStore, file_digest, members
from roundtrip.toolchain.projects import Toolchain
from roundtrip.verification.published import (
    CHECKSUMS,
    IMAGE_SBOM,
    IMAGE_SPDX,
    IMAGES,
    bundle_name,
    services_of,
)

log = logging.getLogger(__name__)

SBOM = "sbom.cdx.json"
SPDX = "sbom.spdx.json"
NO_DATABASE = "no database of known vulnerabilities is at hand"
AT_ONCE = 3
"""services of the stable version that are built side by side: while one downloads, another one compiles"""


def build_service(release: Release, service: str) -> None:
    """Build one service of the candidate, or take the bundle built from the same source before."""
    began = time.monotonic()
    of = _recipe(release, service, "first")
    digest, is_reused = _build(of, release.repository, release.home, artefacts(release))
    name = bundle_name(service, of.version)
    data = {
        "service": service,
        "version": of.version,
        "commit": of.commit,
        "digest": digest,
        "size_bytes": (artefacts(release) / name).stat().st_size,
        "file": name,
        "reused": is_reused,
        "seconds": round(time.monotonic() - began, 1),
    }
    event = release.ledger.append_once(release.id, "build.bundle", f"{service}@{of.version}", data)
    require_same(event, digest, name)
    how = "reused, built before from the same source" if is_reused else f"built in {data['seconds']} s"
    log.info("%s %s: %s, %d bytes, %s", service, of.version, digest, data["size_bytes"], how)
    build_image(release, service)


def reproduce_service(release: Release, service: str) -> None:
    """Build it again in another folder and compare. Raises BuildError naming the members that differ."""
    began = time.monotonic()
    built = release.ledger.last(release.id, "build.bundle", f"{service}@{release.plan.to_version}")
    if built is None:
        raise PromotionError(f"{service} was not built", where=release.id, remedy="run its build")
    of, tools = _recipe(release, service, "second"), _tools(release.plan, release.home)
    first, cache, key = str(built.data["digest"]), _cache(release.home), key_of(of, tools)
    known = cache.get(key)
    was_reproduced = known is not None and known.is_reproduced and known.digest == first
    again = of.folder.with_name(bundle_name(service, of.version))
    second = first if was_reproduced else of.make(open_forge(release), tools, again)
    data = {
        "first": first,
        "second": second,
        "same": first == second,
        "reused": was_reproduced,
        "seconds": round(time.monotonic() - began, 1),
    }
    event = release.ledger.append_once(release.id, "build.reproduced", service, data)
    if not event.data["same"]:
        before = BundleStore(release.home.store).path(first)
        raise differs(service, _differing(before, again), before, again)
    cache.put(key, Entry(first, is_reproduced=True))
    again.unlink(missing_ok=True)
    how = (
        "compared for an earlier release of the same source" if was_reproduced else f"in {data['seconds']} s"
    )
    log.info("%s: built twice, the same digest, %s", service, how)
    reproduce_image(release, service)


def sbom(release: Release) -> None:
    """The SBOM of all bundles, in CycloneDX and in SPDX, and the licences that it states; that of each image."""
    place = artefacts(release) / SBOM
    others = made(release)
    names = [each.project for each in others]
    locks = _locks(release.plan, release.repository, release.plan.to_version, candidate(release), names)
    scans = Scans(release.home.cache / "scans")
    count = write_sbom(
        release.plan,
        release.plan.to_version,
        artefacts(release),
        place,
        locks=locks,
        scans=scans,
        made=others,
    )
    stated = licenses(place)
    about = {"components": count, "licenses": stated, "vulnerabilities": NO_DATABASE}
    data = {"file": SBOM, "digest": file_digest(place), **about}
    require_same(release.ledger.append_once(release.id, "build.sbom", SBOM, data), data["digest"], SBOM)
    again, changed_at = artefacts(release) / SPDX, _changed_at(release.repository, candidate(release))
    count = write_spdx(place, again, changed_at=changed_at)
    data = {"file": SPDX, "digest": file_digest(again), "components": count}
    require_same(release.ledger.append_once(release.id, "build.sbom", SPDX, data), data["digest"], SPDX)
    for service, found in write_image_sboms(release, artefacts(release), scans, changed_at).items():
        log.info("SBOM of the image of %s: %d components", service, found)
    log.info("SBOM: %d components; licences: %s", count, ", ".join(f"{n} {of}" for of, n in stated.items()))
    log.info("known vulnerabilities: not checked, %s", NO_DATABASE)


def checksums(release: Release) -> None:
    """The zip of all of it, and `SHA256SUMS`."""
    plan, commit = release.plan, candidate(release)
    others = {path: file for each in made(release) for path, file in each.files.items()}
    write_images(release, artefacts(release))
    file = _zip_and_sums(release.repository, plan, plan.to_version, commit, artefacts(release), others=others)
    for kind, name in (("build.zip", file.name), ("build.checksums", CHECKSUMS)):
        digest = file_digest(artefacts(release) / name)
        event = release.ledger.append_once(release.id, kind, name, {"file": name, "digest": digest})
        require_same(event, digest, name)
    log.info("%s and %s written", file.name, CHECKSUMS)


def make_stable(
    plan: Plan, home: Home, repository: Path, folder: Path, images: ComposeTargetSettings | None
) -> str:
    """Build the stable version from its tag into `folder`, with SBOM, zip and checksums; its commit.

    `images`: how its images are made; None: none are.
    """
    tag = f"refs/tags/{plan.repository.tag_prefix}{plan.from_version}"
    commit = Git(repository).text("rev-parse", f"{tag}^{{commit}}")
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.parent / f"{folder.name}.building"
    recipes = [
        recipe(plan, repository, service, version=plan.from_version, commit=commit, folder=work / service)
        for service in services_of(plan, plan.from_version)
    ]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda of: _build(of, repository, home, folder), recipes))  # raises the error of any
    locks, scans = _locks(plan, repository, plan.from_version, commit, []), Scans(home.cache / "scans")
    write_sbom(plan, plan.from_version, folder, folder / SBOM, locks=locks, scans=scans, made=[])
    write_spdx(folder / SBOM, folder / SPDX, changed_at=_changed_at(repository, commit))
    if images is not None:
        make_stable_images(plan, repository, commit, folder, images)
    _zip_and_sums(repository, plan, plan.from_version, commit, folder, others={})
    shutil.rmtree(work, ignore_errors=True)
    return commit


def artefacts(release: Release) -> Path:
    """The folder that this release's artefacts are in."""
    folder = release.folder / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _build(of: Recipe, repository: Path, home: Home, folder: Path) -> tuple[str, bool]:
    """The bundle of `of` in the store and in `folder`: (digest, whether it was built before)."""
    tools, store, cache = _tools(of.plan, home), BundleStore(home.store), _cache(home)
    key, file = key_of(of, tools), folder / bundle_name(of.service, of.version)
    known = cache.get(key)
    if known is None:
        digest = of.make(Forge(repository, of.plan.repository), tools, file)
        store.put(file)
        cache.put(key, Entry(digest, is_reproduced=False))
        return digest, False
    beside = file.with_name(f"{file.name}.new")
    shutil.copyfile(store.path(known.digest), beside)
    beside.rename(file)
    return known.digest, True


def _locks(plan: Plan, repository: Path, version: str, commit: str, others: Sequence[str]) -> dict[str, str]:
    """package-lock.json of each Node service, and Node project of `others`, at the commit."""
    projects = {name: plan.projects()[name] for name in (*services_of(plan, version), *others)}
    node = {name: project for name, project in projects.items() if project.toolchain == "node"}
    paths = {name: PurePosixPath(project.path) / "package-lock.json" for name, project in node.items()}
    return {name: Git(repository).text("show", f"{commit}:{path}") for name, path in paths.items()}


def _changed_at(repository: Path, commit: str) -> datetime:
    """When the commit was made."""
    return datetime.fromisoformat(Git(repository).text("show", "--no-patch", "--format=%cI", commit))


def _zip_and_sums(
    repository: Path, plan: Plan, version: str, commit: str, folder: Path, *, others: Mapping[str, Path]
) -> Path:
    """Write zip and `SHA256SUMS` into `folder`. The zip has sums of its own, of what is in it."""
    bundles = [bundle_name(service, version) for service in services_of(plan, version)]
    inside = [*bundles, SBOM, SPDX, *_of_images(plan, version, folder)]
    file = folder / f"{plan.platform}-{version}{ZIP_ENDING}"
    write_checksums(folder, inside)
    git = Git(repository)
    write_zip(file, folder, [*inside, CHECKSUMS], git=git, commit=commit, plan=plan, made=others)
    write_checksums(folder, [*inside, file.name])
    return file


def _of_images(plan: Plan, version: str, folder: Path) -> list[str]:
    """What there is about images: their digests, and what is in each."""
    sboms = (
        name.format(of, version) for of in services_of(plan, version) for name in (IMAGE_SBOM, IMAGE_SPDX)
    )
    return [name for name in (IMAGES, *sboms) if (folder / name).exists()]


def _differing(first: Path, second: Path) -> list[str]:
    """Members that are not the same in both bundles."""
    before, after = members(first), members(second)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _recipe(release: Release, service: str, name: str) -> Recipe:
    commit, version = candidate(release), release.plan.to_version
    folder = release.folder / "build" / name / service
    return recipe(release.plan, release.repository, service, version=version, commit=commit, folder=folder)


def _tools(plan: Plan, home: Home) -> Toolchain:
    return Toolchain(home.cache, plan.checklist.node_major, log.info)


def _cache(home: Home) -> BuildCache:
    return BuildCache(home.cache / "builds", BundleStore(home.store))
