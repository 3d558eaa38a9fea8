"""Bundles: what of a service is deployed, as one file named by its sha256.

Rules:
1. The same folder gives the same file, byte for byte: fixed time, owner and order, only the executable bit of the mode.
2. A bundle is verified against its digest each time it is opened, before anything of it is unpacked.
3. Nothing in a bundle may lead outside the folder it is unpacked into; links and devices are refused.
4. Files are written beside and renamed. What was unpacked before is compared with the bundle before it is used again:
   a power cut or a hand may have changed it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from roundtrip.errors import ArtefactError
from roundtrip.tar import tarfile

MANIFEST = "bundle.json"
LIMIT_BYTES = 2 * 1024**3
"""of a bundle unpacked; more is refused before it is written"""


@dataclass(frozen=True)
class Manifest:
    """`bundle.json`: what a target needs to know to run a bundle."""

    service: str
    version: str
    run: tuple[str, ...]
    """argument list; {python} and {node} stand for the target's interpreters"""
    toolchain: str
    """python or node"""
    health: str = "/healthz"
    metrics: str | None = "/metrics"
    environment: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest of an unpacked bundle. Raises ArtefactError."""
        try:
            data: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            return cls(
                **{**data, "run": tuple(data["run"]), "environment": tuple(data.get("environment", ()))}
            )
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ArtefactError(
                f"no usable {MANIFEST}: {error}", where=str(folder), remedy="build the bundle again"
            ) from error


def pack(folder: Path, manifest: Manifest, destination: Path) -> str:
    """Write the bundle of `folder` to `destination` and return its digest, `sha256:…`. Raises ArtefactError."""
    if (folder / MANIFEST).exists():
        raise ArtefactError(
            f"{MANIFEST} is there already, it is made from the manifest",
            where=str(folder),
            remedy="leave it out of the bundle",
        )
    text = json.dumps(asdict(manifest), sort_keys=True, indent=1).encode() + b"\n"
    beside = destination.with_name(destination.name + ".new")
    with (
        beside.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        archive.addfile(_entry(MANIFEST, size=len(text)), io.BytesIO(text))
        for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
            _add(archive, folder, path)
    digest = file_digest(beside)
    beside.rename(destination)
    return digest


def file_digest(path: Path) -> str:
    """`sha256:…` of a file's content."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


class BundleStore:
    """Bundles by digest below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, file: Path) -> str:
        """Keep a copy of `file`; its digest."""
        self.root.mkdir(parents=True, exist_ok=True)
        digest = file_digest(file)
        place = self.path(digest)
        if place.exists() and file_digest(place) == digest:
            return digest
        with tempfile.NamedTemporaryFile(dir=self.root, delete=False) as beside:
            with file.open("rb") as source:
                shutil.copyfileobj(source, beside)
            beside.flush()
            os.fsync(beside.fileno())
        copied = file_digest(Path(beside.name))
        if copied != digest:
            Path(beside.name).unlink()
            raise ArtefactError(
                f"it changed while it was copied: {digest} became {copied}",
                where=str(file),
                remedy="put it again when nobody writes to it",
            )
        Path(beside.name).rename(place)
        return digest

    def path(self, digest: str) -> Path:
        """Where the bundle of this digest is or would be. Raises ArtefactError when it is no digest."""
        name = digest.removeprefix("sha256:")
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            raise ArtefactError(
                f"expected sha256:… with 64 hexadecimal digits, got {digest!r}", where=str(self.root)
            )
        return self.root / f"{name}.tar.gz"

    def open(self, digest: str, into: Path) -> Path:
        """Verify the bundle and have it unpacked in `into`; returns `into`. Raises ArtefactError."""
        file = self.path(digest)
        if not file.exists():
            raise ArtefactError(
                "the bundle is not in the store", where=str(file), remedy="publish the release again"
            )
        got = file_digest(file)
        if got != digest:
            raise ArtefactError(
                f"expected {digest}, got {got}",
                where=str(file),
                remedy="restore the file from the release; it is not deployed",
            )
        if into.exists() and _is_whole(file, into):
            return into
        into.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=into.parent, prefix=".unpacking-"))
        try:
            _unpack(file, beside / "new")
            _exchange(beside, into)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return into


def members(file: Path) -> Mapping[str, str]:
    """sha256 of each regular file in a bundle, by name: what a comparison of two builds shows."""
    with tarfile.open(file, "r:gz") as archive:
        found = {}
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                found[member.name] = hashlib.sha256(content.read()).hexdigest()
    return found


def _entry(name: str, *, size: int = 0, is_executable: bool = False) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o755 if is_executable else 0o644
    info.mtime = 0
    return info


def _add(archive: tarfile.TarFile, folder: Path, path: Path) -> None:
    name = path.relative_to(folder).as_posix()
    if path.is_symlink():
        raise ArtefactError("a bundle holds no links", where=name, remedy="copy what it points to")
    if path.is_dir():
        return
    if not path.is_file():
        raise ArtefactError(
            "a bundle holds regular files only", where=name, remedy="leave it out of the bundle"
        )
    status = path.stat()
    info = _entry(name, size=status.st_size, is_executable=bool(status.st_mode & 0o100))
    with path.open("rb") as content:
        archive.addfile(info, content)


def _unpack(file: Path, into: Path) -> None:
    into.mkdir()
    try:
        with tarfile.open(file, "r:gz") as archive:
            total = 0
            for member in archive:
                total += member.size
                name = PurePosixPath(member.name)
                leads_outside = name.is_absolute() or ".." in name.parts
                if leads_outside or not member.isreg() or total > LIMIT_BYTES:
                    raise ArtefactError(
                        f"{member.name}: leads outside, is no regular file, or more than {LIMIT_BYTES} bytes in all",
                        where=str(file),
                        remedy="build the bundle again",
                    )
                archive.extract(member, into, filter="data")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ArtefactError(
            f"cannot be unpacked: {error}", where=str(file), remedy="build the bundle again"
        ) from error


def _exchange(beside: Path, into: Path) -> None:
    """Have `beside/new` at `into`; what was there, and is not whole, goes to `beside`."""
    if into.exists():
        into.rename(beside / "old")
    try:
        (beside / "new").rename(into)
    except OSError:
        # Somebody else unpacked the same digest meanwhile.
        if not into.exists():
            raise


def _is_whole(file: Path, folder: Path) -> bool:
    """Whether every file of the bundle is in `folder` as it is in the bundle; what runs may have added others."""
    with tarfile.open(file, "r:gz") as archive:
        return all(_is_same(archive, member, folder / member.name) for member in archive)


def _is_same(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bool:
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or path.is_symlink() or not path.is_file() or path.stat().st_size != member.size:
        return False
    with path.open("rb") as file:
        wanted, got = (hashlib.file_digest(source, "sha256").digest() for source in (content, file))  # type: ignore[arg-type]
    return wanted == got and bool(path.stat().st_mode & 0o100) == bool(member.mode & 0o100)
