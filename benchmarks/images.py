"""Images: what each weighs, how long its build takes from nothing and again, whether both give the same, and what a release adds to
the registry.

    PYTHONPATH=include .venv/bin/python -m benchmarks.images --environment include/environments/compose_production.yaml

Builds every service of both versions in the environment's engine, three times: once to fill the engine's layers, once from the
Dockerfile's first line (cold), once with the layers there (warm). Each is published; the engine and the registry keep what they have then.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from roundtrip.build.images.making import CommitImages
from roundtrip.build.images.publishing import publish
from roundtrip.commands.prepare import ROOT
from roundtrip.forge import lay_platform
from roundtrip.forge.git import Git
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan
from roundtrip.targets.compose.engine import connect
from roundtrip.verification.published import services_of

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MEGA = 1_000_000


@dataclass(frozen=True)
class Measured:
    """One image."""

    version: str
    service: str
    unpacked: int
    """bytes in the engine"""
    blobs: dict[str, int]
    """digest -> bytes, of what the registry keeps of it"""
    cold: float
    warm: float
    is_same: bool


def main() -> None:
    """Build, then print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plan", type=Path, default=ROOT / "include/plans/top_tier_trading_1_1_0.yaml")
    parser.add_argument("--environment", type=Path, required=True)
    options = parser.parse_args()
    plan, settings = load_plan(options.plan), load_environment(options.environment).target
    if not isinstance(settings, ComposeTargetSettings):
        parser.error(f"{options.environment} is of no containers")
    with tempfile.TemporaryDirectory(prefix="roundtrip-images-") as scratch:
        measured = list(_measured(plan, settings, Path(scratch)))
    print("\n".join(_table(measured)))


def _measured(plan: Plan, settings: ComposeTargetSettings, scratch: Path) -> Iterator[Measured]:
    repository = scratch / "platform.git"
    new = lay_platform(repository, plan)
    tag = f"refs/tags/{plan.repository.tag_prefix}{plan.from_version}"
    stable = Git(repository).text("rev-parse", f"{tag}^{{commit}}")
    for version, commit in ((plan.from_version, stable), (plan.to_version, new)):
        made = CommitImages(plan, repository, commit, version, settings)
        for service in services_of(plan, version):
            yield _of(made, settings, scratch / f"{service}-{version}.tar", version, service)


def _of(
    made: CommitImages, settings: ComposeTargetSettings, file: Path, version: str, service: str
) -> Measured:
    first = made.built(service, file)
    began = time.monotonic()
    second = made.built(service, file, fresh=True)
    cold = time.monotonic() - began
    began = time.monotonic()
    third = made.built(service, file)
    warm = time.monotonic() - began
    with closing(connect(settings.engine)) as client:
        digest = publish(client, file, third, f"{settings.registry}/{service}")
        unpacked = int(client.images.get(third).attrs["Size"])
    blobs = _blobs(settings.registry, service, digest)
    return Measured(version, service, unpacked, blobs, cold, warm, first == second == third)


def _blobs(registry: str, service: str, digest: str) -> dict[str, int]:
    host, _, path = registry.partition("/")
    address = f"http://{host}/v2/{path + '/' if path else ''}{service}/manifests/{digest}"
    manifest = httpx.get(address, headers={"Accept": MANIFEST}, trust_env=False).raise_for_status().json()
    return {blob["digest"]: blob["size"] for blob in (manifest["config"], *manifest["layers"])}


def _table(measured: list[Measured]) -> Iterator[str]:
    yield "| image | MB unpacked | MB in the registry | of these new | cold, s | warm, s | the same each time |"
    yield "|---|---|---|---|---|---|---|"
    seen: set[str] = set()
    added: dict[str, int] = {}
    for one in measured:
        new = sum(size for digest, size in one.blobs.items() if digest not in seen)
        seen |= one.blobs.keys()
        added[one.version] = added.get(one.version, 0) + new
        sizes = " | ".join(f"{size / MEGA:.1f}" for size in (one.unpacked, sum(one.blobs.values()), new))
        same = "yes" if one.is_same else "no"
        yield f"| {one.service} {one.version} | {sizes} | {one.cold:.1f} | {one.warm:.1f} | {same} |"
    yield ""
    yield "; ".join(f"{version} adds {size / MEGA:.1f} MB to the registry" for version, size in added.items())


if __name__ == "__main__":
    main()
