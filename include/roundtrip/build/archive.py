"""The zip of a release: bundles, SBOM, and the configuration and run files of the platform (plan 2.9)."""

from __future__ import annotations

import zipfile
from pathlib import Path

from roundtrip.plan.model import Plan
from roundtrip.verification.published import BUNDLE_ENDING

FIXED_TIME = (1980, 1, 1, 0, 0, 0)
CONFIGURATION = (
    "docker-compose.yml",
    ".env.example",
    "conf",
    "k8s",
    "serverless",
    "terraform",
    "CHANGELOG.md",
    "README.md",
)


def write_zip(plan: Plan, version: str, folder: Path, source: Path) -> Path:
    """Write `<platform>-<version>.zip` into `folder`; the same content gives the same file."""
    place = folder / f"{plan.platform}-{version}.zip"
    beside = place.with_name(place.name + ".new")
    entries = {
        path.name: path for path in folder.iterdir() if path.name.endswith((BUNDLE_ENDING, ".cdx.json"))
    }
    for name in CONFIGURATION:
        entries |= {str(path.relative_to(source)): path for path in _files(source / name)}
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in sorted(entries.items()):
            info = zipfile.ZipInfo(f"{plan.platform}-{version}/{name}", FIXED_TIME)
            info.external_attr = 0o100644 << 16
            # Bundles are compressed already.
            info.compress_type = zipfile.ZIP_STORED if name.endswith(BUNDLE_ENDING) else zipfile.ZIP_DEFLATED
            archive.writestr(info, path.read_bytes())
    beside.rename(place)
    return place


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file())
    return [path] if path.is_file() else []
