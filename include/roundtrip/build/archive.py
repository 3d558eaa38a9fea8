"""The zip of a release (plan 2.9, 3.3): bundles, SBOM, checksums, and the platform's run and configuration files.

Rules:
1. The platform's files are those of the commit outside the services' folders: what the bundles do not have. What was
   made of the projects that no target runs lies among them, where their builds put it.
2. The same content gives the same file: sorted, one fixed time, only the executable bit of the mode.
3. `SHA256SUMS` is in sha256sum's format and names every artefact beside it, but signatures and itself.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from roundtrip import durable
from roundtrip.forge.git import Git
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import file_digest
from roundtrip.verification.published import BUNDLE_ENDING, CHECKSUMS

ZIP_ENDING = ".zip"
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say."""


def write_zip(
    place: Path,
    folder: Path,
    names: Sequence[str],
    *,
    git: Git,
    commit: str,
    plan: Plan,
    made: Mapping[str, Path],
) -> None:
    """Write to `place` the files `names` of `folder`, the platform's own files at `commit`, and those that were `made`
    by their paths in the platform."""
    beside = place.with_name(f"{place.name}.new")
    with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name in sorted(names):
            _add(archive, f"{place.stem}/{name}", (folder / name).read_bytes())
        for name, content, is_executable in _platform_files(git, commit, plan):
            _add(archive, f"{place.stem}/platform/{name}", content, is_executable=is_executable)
        for name, file in sorted(made.items()):
            _add(archive, f"{place.stem}/platform/{name}", file.read_bytes())
    beside.rename(place)


def write_checksums(folder: Path, names: Sequence[str]) -> None:
    """Write `SHA256SUMS` of the files `names` of `folder`."""
    lines = [f"{file_digest(folder / name).removeprefix('sha256:')}  {name}\n" for name in sorted(names)]
    durable.write(folder / CHECKSUMS, "".join(lines))


def _platform_files(git: Git, commit: str, plan: Plan) -> Iterator[tuple[str, bytes, bool]]:
    of_services = [PurePosixPath(service.path) for service in plan.services.values()]
    with tarfile.open(fileobj=io.BytesIO(git.data("archive", "--format=tar", commit))) as archive:
        for member in sorted(archive.getmembers(), key=lambda member: member.name):
            path, content = PurePosixPath(member.name), archive.extractfile(member)
            if (
                member.isreg()
                and content is not None
                and not any(path.is_relative_to(s) for s in of_services)
            ):
                yield member.name, content.read(), bool(member.mode & 0o100)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, *, is_executable: bool = False) -> None:
    info = zipfile.ZipInfo(name, FIXED_TIME)
    info.external_attr = (0o100755 if is_executable else 0o100644) << 16
    info.create_system = 3  # Unix, also where it is not: the host's system is part of the file
    info.compress_type = zipfile.ZIP_STORED if name.endswith(BUNDLE_ENDING) else zipfile.ZIP_DEFLATED
    archive.writestr(info, content)
