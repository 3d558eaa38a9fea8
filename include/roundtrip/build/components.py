"""The SBOM: what is in the bundles, in CycloneDX 1.6.

Rules:
1. It is of what is deployed: syft looks into the unpacked bundles. So it also has what other packages brought along in
   their own files, whose version nobody states ("UNKNOWN").
2. What a bundler compiled into other files leaves no trace there: of a Node service, the lockfile's packages that are
   not only for development are in it too, marked as found in the lockfile.
3. Every service is a component with the sha256 of its bundle, and depends on what was found in it.
4. A project that no target runs is a component too, with the files that were made of it; it depends on what its lockfile
   has and on the services whose sources it is made of.
5. The same bundles give the same document: no time, no path of this machine, a serial number made of the content.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.build.made import Made
from roundtrip.build.scanning import Component, Scans
from roundtrip.errors import BuildError
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import file_digest
from roundtrip.verification.published import bundle_name, services_of

AT_ONCE = 2
"""bundles that are scanned side by side"""
NO_LICENSE = "none stated"


def write_sbom(
    plan: Plan,
    version: str,
    folder: Path,
    destination: Path,
    *,
    locks: Mapping[str, str],
    scans: Scans,
    made: Sequence[Made],
) -> int:
    """Write the SBOM of the bundles in `folder` and of what was `made` beside them; the number of components.

    `locks` has the text of package-lock.json by service or project, for those that have one. Raises BuildError.
    """
    services = services_of(plan, version)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        scanned = pool.map(lambda service: scans.of(folder / bundle_name(service, version)), services)
        found = dict(zip(services, scanned, strict=True))
    parts = {service: _service(service, version, folder) for service in services}
    found |= {each.project: [parts[s] for s in plan.undeployed[each.project].made_of] for each in made}
    parts |= {each.project: _project(each, version) for each in made}
    for name, text in locks.items():
        known = {component["bom-ref"] for component in found[name]}
        found[name] += [c for ref, c in sorted(locked(text).items()) if ref not in known]
    document = _document(plan.platform, version, parts, found)
    durable.write_json(destination, document)
    return len(document["components"])


def licenses(sbom: Path) -> dict[str, int]:
    """How many components state which licences, the most frequent first. Those that state several are counted by all of them."""
    document = json.loads(sbom.read_text(encoding="utf-8"))
    libraries = [c for c in document["components"] if c["type"] != "application"]
    counted = Counter(" AND ".join(sorted(_stated(c))) or NO_LICENSE for c in libraries)
    return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))


def _stated(component: Component) -> set[str]:
    entries = component.get("licenses", [])
    return {
        str(entry.get("expression") or entry["license"].get("id") or entry["license"]["name"])
        for entry in entries
    }


def locked(text: str) -> dict[str, Component]:
    """What a package-lock.json has for production on every machine, by reference. Raises BuildError."""
    try:
        packages: dict[str, dict[str, Any]] = json.loads(text)["packages"]
    except (ValueError, KeyError, TypeError) as error:
        what = f"package-lock.json has no packages: {error}"
        raise BuildError(what, where="candidate", remedy="make it with npm 7 or newer") from error
    components = {}
    for path, package in packages.items():
        if not path or any(package.get(key) for key in ("dev", "devOptional", "optional", "peer", "link")):
            continue
        name = str(package.get("name") or path.rsplit("node_modules/", 1)[-1])
        ref = f"pkg:npm/{name.replace('@', '%40')}@{package['version']}"
        components[ref] = {
            "bom-ref": ref,
            "type": "library",
            "name": name,
            "version": package["version"],
            "purl": ref,
            "licenses": [{"license": {"name": package["license"]}}] if "license" in package else [],
            "hashes": _hashes(str(package.get("integrity", ""))),
            "properties": [{"name": "roundtrip:found-in", "value": "package-lock.json"}],
        }
    return components


def _hashes(integrity: str) -> list[dict[str, str]]:
    """The lock's sha512 (https://www.w3.org/TR/SRI/) as CycloneDX writes it."""
    content = [part.removeprefix("sha512-") for part in integrity.split() if part.startswith("sha512-")]
    return [{"alg": "SHA-512", "content": base64.b64decode(each).hex()} for each in content]


def _document(
    platform: str, version: str, parts: Mapping[str, Component], found: Mapping[str, list[Component]]
) -> dict[str, Any]:
    root = f"{platform}@{version}"
    everything = {c["bom-ref"]: c for components in (*found.values(), parts.values()) for c in components}
    depends = {root: [s["bom-ref"] for s in parts.values()]}
    depends |= {parts[name]["bom-ref"]: [c["bom-ref"] for c in found[name]] for name in parts}
    about = {"bom-ref": root, "type": "application", "name": platform, "version": version}
    return cyclonedx(about, everything, depends)


def cyclonedx(
    about: Component, components: Mapping[str, Component], depends: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The document about one component: what it is made of, by reference, and what depends on what."""
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": about},
        "components": [components[ref] for ref in sorted(components)],
        "dependencies": [{"ref": ref, "dependsOn": sorted(refs)} for ref, refs in sorted(depends.items())],
    }
    content = json.dumps(document, sort_keys=True)
    return {**document, "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, content).urn}


def _project(made: Made, version: str) -> Component:
    files = [
        {"type": "file", "name": path, "hashes": _sha256(file)} for path, file in sorted(made.files.items())
    ]
    return {**_application(made.project, version), "components": files}


def _service(service: str, version: str, folder: Path) -> Component:
    return {**_application(service, version), "hashes": _sha256(folder / bundle_name(service, version))}


def _application(name: str, version: str) -> Component:
    return {"bom-ref": f"{name}@{version}", "type": "application", "name": name, "version": version}


def _sha256(file: Path) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": file_digest(file).removeprefix("sha256:")}]
