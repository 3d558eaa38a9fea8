"""The build section's steps: each service once, each again elsewhere, then SBOM, zip and checksums of all.

The same functions make the stable release when the platform is first laid (`make_stable`): it was built, described and
signed as any other.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from roundtrip.build.archive import write_zip
from roundtrip.build.cached import BuildCache, Entry, key_of
from roundtrip.build.components import write_sbom
from roundtrip.build.recipe import Recipe
from roundtrip.errors import BuildError, PromotionError
from roundtrip.forge import Forge, open_forge
from roundtrip.forge.git import Git
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.targets.bundles import BundleStore, file_digest, members
from roundtrip.toolchain.projects import Toolchain
from roundtrip.verification.published import CHECKSUMS, bundle_name

log = logging.getLogger(__name__)

SBOM = "sbom.cdx.json"


def build_service(release: Release, service: str) -> None:
    """Build one service of the candidate, or take the bundle built from the same source before."""
    recipe = _recipe(release, service, "first")
    digest, is_reused = _build(recipe, release.repository, release.home, artefacts(release))
    data = {
        "service": service,
        "version": recipe.version,
        "commit": recipe.commit,
        "digest": digest,
        "size_bytes": (artefacts(release) / bundle_name(service, recipe.version)).stat().st_size,
        "file": bundle_name(service, recipe.version),
        "reused": is_reused,
    }
    release.ledger.append_once(release.id, "build.bundle", f"{service}@{recipe.version}", data)
    log.info(
        "%s %s: %s, %d bytes%s",
        service,
        recipe.version,
        digest,
        data["size_bytes"],
        ", reused" if is_reused else "",
    )


def reproduce_service(release: Release, service: str) -> None:
    """Build it again in another folder and compare. Raises BuildError naming the members that differ."""
    built = release.ledger.last(release.id, "build.bundle", f"{service}@{release.plan.to_version}")
    if built is None:
        raise PromotionError(
            f"{service} was not built", where=f"release {release.id}", remedy="run its build"
        )
    recipe = _recipe(release, service, "second")
    tools, first = _tools(release.plan, release.home), built.data["digest"]
    cache, key = _cache(release.home), key_of(recipe, release.repository, tools)
    known = cache.get(key)
    was_reproduced = known is not None and known.is_reproduced and known.digest == first
    second = first if was_reproduced else _compare(recipe, release, tools, first)
    cache.put(key, Entry(first, is_reproduced=True))
    data = {"first": first, "second": second, "same": True, "reused": was_reproduced}
    release.ledger.append_once(release.id, "build.reproduced", service, data)
    log.info(
        "%s: built twice, the same digest%s",
        service,
        " (compared by an earlier release)" if was_reproduced else "",
    )


def sbom(release: Release) -> None:
    """The SBOM of all bundles, in CycloneDX."""
    folder = artefacts(release)
    count = write_sbom(release.plan, release.plan.to_version, folder, folder / SBOM)
    data = {"file": SBOM, "digest": file_digest(folder / SBOM), "components": count}
    release.ledger.append_once(release.id, "build.sbom", SBOM, data)
    log.info("SBOM: %d components", count)


def checksums(release: Release) -> None:
    """The zip of all of it, and `SHA256SUMS`."""
    chosen = _candidate(release)
    source = open_forge(release).checkout(chosen, release.folder / "build" / "first" / "whole")
    write_zip(release.plan, release.plan.to_version, artefacts(release), source)
    digest = write_checksums(artefacts(release))
    release.ledger.append_once(
        release.id, "build.checksums", CHECKSUMS, {"file": CHECKSUMS, "digest": digest}
    )


def make_stable(plan: Plan, home: Home, repository: Path, folder: Path) -> str:
    """Build the stable version from its tag into `folder`, with SBOM, zip and checksums; its commit."""
    git = Git(repository)
    commit = git.text("rev-parse", f"refs/tags/{plan.repository.tag_prefix}{plan.from_version}^{{commit}}")
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.parent / f"{folder.name}.building"
    for service in plan.services:
        recipe = Recipe(plan, service, plan.from_version, commit, _time_of(git, commit), work / service)
        _build(recipe, repository, home, folder)
    write_sbom(plan, plan.from_version, folder, folder / SBOM)
    source = Forge(repository, plan.repository).checkout(commit, work / "whole")
    write_zip(plan, plan.from_version, folder, source)
    write_checksums(folder)
    shutil.rmtree(work)
    return commit


def artefacts(release: Release) -> Path:
    """The folder that this release's artefacts are in."""
    folder = release.folder / "artefacts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_checksums(folder: Path) -> str:
    """Write `SHA256SUMS` of every file that is no signature; its own digest."""
    names = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name != CHECKSUMS and path.suffix not in (".sig", ".new")
    )
    lines = [f"{file_digest(folder / name).removeprefix('sha256:')}  {name}\n" for name in names]
    beside = folder / f"{CHECKSUMS}.new"
    beside.write_text("".join(lines), encoding="utf-8")
    beside.rename(folder / CHECKSUMS)
    return file_digest(folder / CHECKSUMS)


def _build(recipe: Recipe, repository: Path, home: Home, folder: Path) -> tuple[str, bool]:
    """(digest, whether it was built before)."""
    tools, store, cache = _tools(recipe.plan, home), BundleStore(home.store), _cache(home)
    key = key_of(recipe, repository, tools)
    file = folder / bundle_name(recipe.service, recipe.version)
    known = cache.get(key)
    if known is not None:
        shutil.copyfile(store.path(known.digest), file)
        return known.digest, True
    digest = recipe.make(Forge(repository, recipe.plan.repository), tools, file)
    store.put(file)
    cache.put(key, Entry(digest, is_reproduced=False))
    return digest, False


def _compare(recipe: Recipe, release: Release, tools: Toolchain, first: str) -> str:
    again = recipe.folder / bundle_name(recipe.service, recipe.version)
    again.parent.mkdir(parents=True, exist_ok=True)
    second = recipe.make(open_forge(release), tools, again)
    if second != first:
        before, after = members(BundleStore(release.home.store).path(first)), members(again)
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        release.ledger.append(
            release.id,
            "build.reproduced",
            {"service": recipe.service, "first": first, "second": second, "same": False},
        )
        raise BuildError(
            f"{recipe.service}: built twice, {len(names)} files differ: {', '.join(names[:10])}",
            where=str(recipe.folder),
            remedy="find what of the machine, time or folder gets into them",
        )
    return second


def _recipe(release: Release, service: str, name: str) -> Recipe:
    commit = _candidate(release)
    time = _time_of(Git(release.repository), commit)
    folder = release.folder / "build" / name / service
    return Recipe(release.plan, service, release.plan.to_version, commit, time, folder)


def _candidate(release: Release) -> str:
    chosen = release.ledger.last(release.id, "candidate.chosen")
    if chosen is None:
        raise PromotionError(
            "no candidate was chosen", where=f"release {release.id}", remedy="run the checklist"
        )
    return str(chosen.data["commit"])


def _time_of(git: Git, commit: str) -> int:
    return int(git.text("show", "--no-patch", "--format=%ct", commit))


def _tools(plan: Plan, home: Home) -> Toolchain:
    return Toolchain(home.cache, plan.checklist.node_major, log.info)


def _cache(home: Home) -> BuildCache:
    return BuildCache(home.cache / "builds", BundleStore(home.store))
