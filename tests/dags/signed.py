"""Two tiny releases of the small plan, packed and signed by the product: 1.0.0 is published, 1.1.0 is built."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.build.archive import write_checksums
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.sign.attesting import Build, attest_build
from roundtrip.sign.keys import new_keys, signing_key
from roundtrip.sign.publishing import publish_folder
from roundtrip.sign.signing import sign_folder
from roundtrip.targets.bundles import BundleStore, Manifest, pack
from roundtrip.verification.published import bundle_name

PLAN = Path(__file__).parent / "plans" / "small.yaml"
SBOM = "sbom.cdx.json"


@dataclass(frozen=True)
class Signed:
    """What a story begins with; its files are linked into the story's folder, not copied."""

    folder: Path
    """a state folder with 1.0.0 in its store and among its releases"""
    built: Path
    """what the build section makes of 1.1.0"""
    bundles: Mapping[str, Mapping[str, str]]
    """digests by version and service"""
    keys: Mapping[str, str]
    """what the signing connection holds"""


def make_signed(folder: Path) -> Signed:
    """Pack both releases in `folder`; sign and publish the stable one."""
    plan, keys, home = load_plan(PLAN), new_keys(), Home(folder / "home")
    artefacts = {version: folder / version for version in (plan.from_version, plan.to_version)}
    bundles = {version: _packed(plan, version, place) for version, place in artefacts.items()}
    stable = artefacts[plan.from_version]
    for service in plan.services:
        BundleStore(home.store).put(stable / bundle_name(service, plan.from_version))
    key = signing_key(keys, "signing")
    sign_folder(stable, key)
    attest_build(
        stable, plan, Build(plan.from_version, "5ab1e0", "refs/tags/v1.0.0", "set-up", None, None), key
    )
    publish_folder(stable, home, plan, plan.from_version, "5ab1e0")
    return Signed(home.root, artefacts[plan.to_version], bundles, keys)


def _packed(plan: Plan, version: str, artefacts: Path) -> dict[str, str]:
    artefacts.mkdir(parents=True)
    digests = {}
    for service in plan.services:
        content = artefacts.parent / f"content-{service}-{version}"
        content.mkdir()
        (content / "main.py").write_text(f"print('{service} {version}')\n")
        manifest = Manifest(service, version, ("{python}", "main.py"), "python")
        digests[service] = pack(content, manifest, artefacts / bundle_name(service, version))
    (artefacts / SBOM).write_text(json.dumps({"bomFormat": "CycloneDX", "version": version}))
    write_checksums(artefacts, [*(bundle_name(service, version) for service in plan.services), SBOM])
    return digests
