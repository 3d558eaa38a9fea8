"""The SBOM of each image, in CycloneDX 1.6 and in SPDX 2.3: what is in it, the base's packages too.

Rules:
1. What is looked at is the image that the registry has under the recorded digest, as the engine has taken it.
2. The document is about the image by that digest, and not about where the registry is.
3. The same image gives the same document: no time, no path of this machine, a serial number made of the content.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.build.components import cyclonedx, licenses
from roundtrip.build.scanning import Component, Scans
from roundtrip.build.spdx import write_spdx
from roundtrip.build.twice import require_same
from roundtrip.plan.environment import image_settings
from roundtrip.release import Release
from roundtrip.rollout.verdicts import require_recorded
from roundtrip.targets.bundles import file_digest
from roundtrip.targets.compose.engine import asking, connect
from roundtrip.verification.published import IMAGE_SBOM, IMAGE_SPDX


def write_image_sboms(release: Release, folder: Path, scans: Scans, changed_at: datetime) -> dict[str, int]:
    """Write both documents of each image into `folder`; components by service, none where no environment takes images.

    Raises BuildError, HostError, TargetError.
    """
    if (settings := image_settings(release.environments)) is None:
        return {}
    counted = {}
    for service in release.plan.services:
        about = require_recorded(release, "build.image", f"{service}@{release.plan.to_version}").data
        name = f"{settings.registry}/{service}@{about['digest']}"
        found = scans.of_image(str(about["id"]), partial(_save, settings.engine, name))
        place = folder / IMAGE_SBOM.format(service, about["version"])
        durable.write_json(place, document(service, str(about["version"]), str(about["digest"]), found))
        again = folder / IMAGE_SPDX.format(service, about["version"])
        write_spdx(place, again, changed_at=changed_at)
        counted[service] = len(found)
        stated = {"components": len(found), "licenses": licenses(place)}
        for file, more in ((place, stated), (again, {"components": len(found)})):
            data = {"file": file.name, "digest": file_digest(file), "image": about["digest"], **more}
            event = release.ledger.append_once(release.id, "build.sbom", file.name, data)
            require_same(event, data["digest"], file.name)
    return counted


def document(service: str, version: str, digest: str, found: list[Component]) -> dict[str, Any]:
    """The SBOM of one image by what was found in it."""
    purl = f"pkg:oci/{service}@{digest.replace(':', '%3A')}"
    about = {"bom-ref": purl, "type": "container", "name": service, "version": version, "purl": purl}
    parts = {str(one["bom-ref"]): one for one in found}
    return cyclonedx(about, parts, {purl: list(parts)})


def _save(engine: str, name: str, to: Path) -> None:
    with closing(connect(engine)) as client, asking(name), to.open("wb") as file:
        for chunk in client.api.get_image(name):
            file.write(chunk)
