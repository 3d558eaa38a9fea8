"""What the images of the newest release into containers weigh and how long they took, from its ledger and its registry.

    python -m benchmarks.images

Prints a line for each image of both versions: bytes that the registry keeps of it, and of these what no image before it in the table has; seconds of
the first build and of the second from the Dockerfile's first line, and whether both gave the same. The stable version's builds are not timed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from roundtrip.commands.prepare import existing_ledger, machine_of, state_folder
from roundtrip.errors import LedgerError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.verification.published import IMAGES

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass(frozen=True)
class Image:
    """One image in the registry."""

    version: str
    service: str
    digest: str


def main() -> None:
    """Print the table."""
    ledger = existing_ledger(state_folder())
    newest = ledger.last(None, "build.image")
    if newest is None:
        raise LedgerError(
            "no release has built an image", where="the ledger", remedy="./roundtrip release --env compose"
        )
    machine = machine_of(newest.release, print)
    settings = machine.environment("production").target
    assert isinstance(settings, ComposeTargetSettings)
    folder = (
        machine.home.releases / f"{machine.plan.repository.tag_prefix}{machine.plan.from_version}" / "assets"
    )
    stable = json.loads((folder / IMAGES).read_text(encoding="utf-8"))["images"]
    images = [Image(machine.plan.from_version, service, digest) for service, digest in sorted(stable.items())]
    images += sorted(_built(ledger, newest.release), key=lambda image: image.service)
    seen: set[str] = set()
    print(
        "| version | service | bytes in the registry | of these new | first build, s | second build, s | the same |"
    )
    print("|---|---|---|---|---|---|---|")
    for image in images:
        layers = _layers(settings.registry, image)
        new = sum(size for digest, size in layers.items() if digest not in seen)
        seen |= layers.keys()
        timed = " | ".join(_timed(ledger, newest.release, image))
        print(f"| {image.version} | {image.service} | {sum(layers.values()):,} | {new:,} | {timed} |")


def _built(ledger: Ledger, release: str) -> Iterator[Image]:
    for event in ledger.events(release, kind="build.image"):
        yield Image(str(event.data["version"]), str(event.data["service"]), str(event.data["digest"]))


def _layers(registry: str, image: Image) -> dict[str, int]:
    """Digest of each blob of an image, its configuration too, and its bytes."""
    host, _, path = registry.partition("/")
    address = f"http://{host}/v2/{path + '/' if path else ''}{image.service}/manifests/{image.digest}"
    manifest = httpx.get(address, headers={"Accept": MANIFEST}, trust_env=False).raise_for_status().json()
    return {blob["digest"]: blob["size"] for blob in (manifest["config"], *manifest["layers"])}


def _timed(ledger: Ledger, release: str, image: Image) -> tuple[str, str, str]:
    built = ledger.last(release, "build.image", f"{image.service}@{image.version}")
    again = ledger.last(release, "build.image_reproduced", image.service)
    if built is None or again is None:
        return "–", "–", "–"
    return str(built.data["seconds"]), str(again.data["seconds"]), "yes" if again.data["same"] else "no"


if __name__ == "__main__":
    main()
