"""The SBOM: what is in the bundles, found by syft in the bundles themselves, in CycloneDX.

Rules:
1. It is of what is deployed, not of what a manifest asks for: the unpacked bundles are looked at.
2. The same bundles give the same document: no serial number, time, or path of this machine.
3. A bundle in which nothing is found is an error, since each has at least itself.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from roundtrip.errors import BuildError, HostError
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore
from roundtrip.verification.published import bundle_name, services_of

SCAN_LIMIT_SECONDS = 300
CATALOGERS = "python-installed-package-cataloger,javascript-package-cataloger"


def write_sbom(plan: Plan, version: str, folder: Path, destination: Path) -> int:
    """Write the SBOM of the bundles in `folder`; the number of components. Raises BuildError."""
    components: list[dict[str, Any]] = []
    for service in services_of(plan, version):
        found = _scan(folder / bundle_name(service, version))
        if not found:
            raise BuildError(
                f"syft found nothing in {service}", where=str(folder), remedy="look into the bundle"
            )
        for component in found:
            component["bom-ref"] = f"{service}/{component.get('purl', component['name'])}"
            component["properties"] = [{"name": "roundtrip:service", "value": service}]
        components += found
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": plan.platform, "version": version}},
        "components": sorted(components, key=lambda component: str(component["bom-ref"])),
    }
    beside = destination.with_name(destination.name + ".new")
    beside.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.rename(destination)
    return len(components)


def _scan(bundle: Path) -> list[dict[str, Any]]:
    """Components of one bundle, each once, without where syft saw them on this machine."""
    with tempfile.TemporaryDirectory(prefix="roundtrip-sbom-") as scratch:
        store = BundleStore(Path(scratch) / "store")
        unpacked = store.open(store.put(bundle), Path(scratch) / "unpacked")
        command = [str(_syft()), "scan", f"dir:{unpacked}", "--output", "cyclonedx-json", "--quiet"]
        command += ["--override-default-catalogers", CATALOGERS]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SCAN_LIMIT_SECONDS,
            check=False,
            env=_quiet(scratch),
        )
    if done.returncode != 0:
        raise BuildError(f"syft ended with {done.returncode}: {done.stderr[-400:]}", where=str(bundle))
    seen: dict[str, dict[str, Any]] = {}
    for component in json.loads(done.stdout).get("components", []):
        if component["type"] in ("library", "application", "framework"):
            kept = {
                key: component[key]
                for key in ("type", "name", "version", "purl", "licenses")
                if key in component
            }
            seen.setdefault(str(kept.get("purl", kept["name"])), kept)
    return list(seen.values())


def _quiet(scratch: str) -> dict[str, str]:
    """syft asks for news and caches; neither is wanted here."""
    return {
        "HOME": scratch,
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "XDG_CACHE_HOME": scratch,
        "PATH": "/usr/bin:/bin",
    }


def _syft() -> Path:
    program = Path(sysconfig.get_path("scripts")) / "syft"
    if not program.is_file():
        raise HostError(
            "syft is not installed",
            where=str(program),
            remedy="./roundtrip installs it from requirements.txt",
        )
    return program
