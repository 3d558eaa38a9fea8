"""Takes out of an image what the moment and the place of its build have left in there.

Rules:
1. No time is later than the source's own (SOURCE_DATE_EPOCH, reproducible-builds.org): of files, of the image, of its history.
   A layer in which none is later is left as it is, byte for byte: those of the base, so that images go on sharing them.
2. Of the configuration only what the OCI image specification (config.md) and Docker's health check know is kept.
   The engine's notes of its build containers are not.
3. What differs after that differs in what the image does; `differences` names it.

Reads and writes the format of `docker image save` (moby/image/spec, version 1.2: `manifest.json`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from roundtrip import durable
from roundtrip.errors import ArtefactError

MANIFEST = "manifest.json"
KEPT = ("architecture", "os", "os.version", "os.features", "variant", "author", "config", "rootfs", "history")
KEPT_OF_CONFIG = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
)
TIMES = ("mtime", "atime", "ctime")
IN_MEMORY_BYTES = 16 * 1024**2
"""of a layer that is being rewritten; a larger one is on disk"""
GZIP = b"\x1f\x8b"
"""how a packed file begins (RFC 1952, 2.3.1)"""


@dataclass(frozen=True)
class Archive:
    """An image as one file."""

    file: Path
    config: Mapping[str, Any]
    layers: tuple[str, ...]
    """names within the file, the base's first"""


def read(file: Path) -> Archive:
    """What `docker image save` has written of one image. Raises ArtefactError."""
    try:
        with tarfile.open(file, "r:") as saved:
            manifests = json.load(_member(saved, MANIFEST))
            [manifest] = manifests
            config = json.load(_member(saved, manifest["Config"]))
            layers = tuple(manifest["Layers"])
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(
            f"expected one image as the engine saves it, got: {error}",
            where=str(file),
            remedy="build the image again",
        ) from error
    if len(config.get("rootfs", {}).get("diff_ids", ())) != len(layers):
        raise ArtefactError(
            "its configuration does not name its layers", where=str(file), remedy="build the image again"
        )
    return Archive(file, config, layers)


def canonical(saved: Path, to: Path, *, epoch: int) -> str:
    """Write the image without its traces to `to`; its id. `epoch` in seconds since 1970. Raises ArtefactError."""
    archive = read(saved)
    with (
        tarfile.open(saved, "r:") as source,
        durable.writing(to) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as made,
    ):
        layers = [_copy_layer(source, name, made, epoch) for name in archive.layers]
        config = _json(_configuration(archive.config, layers, epoch))
        identity = hashlib.sha256(config).hexdigest()
        manifest = [
            {
                "Config": f"{identity}.json",
                "RepoTags": None,
                "Layers": [f"{layer}.tar" for layer in layers],
            }
        ]
        _add(made, f"{identity}.json", config)
        _add(made, MANIFEST, _json(manifest))
    return f"sha256:{identity}"


def differences(first: Path, second: Path) -> list[str]:
    """What of two images is not the same: keys of their configuration, and paths of their files. Raises ArtefactError."""
    one, other = read(first), read(second)
    keys = {
        f"configuration {key}": (a, b)
        for key in KEPT
        if key not in ("rootfs", "history")
        for a, b in [(one.config.get(key), other.config.get(key))]
    }
    files = _files(one), _files(other)
    paths = {path: (files[0].get(path), files[1].get(path)) for path in {*files[0], *files[1]}}
    return sorted(name for name, (a, b) in {**keys, **paths}.items() if a != b)


def _copy_layer(source: tarfile.TarFile, name: str, made: tarfile.TarFile, epoch: int) -> str:
    """The layer of that name, without times after `epoch`; its digest in hexadecimal, which is its name from then on."""
    with _layer(source, name) as layer, tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as file:
        if _is_later(layer, epoch):
            _clamp(layer, file, epoch)
        else:
            shutil.copyfileobj(layer, file)
        file.seek(0)
        digest = _sha256(file)
        info = tarfile.TarInfo(f"{digest}.tar")
        info.size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if info.name not in made.getnames():
            made.addfile(info, file)
    return digest


def _is_later(layer: IO[bytes], epoch: int) -> bool:
    with tarfile.open(fileobj=layer, mode="r:") as members:
        is_later = any(member.mtime > epoch for member in members)
    layer.seek(0)
    return is_later


def _clamp(layer: IO[bytes], to: IO[bytes], epoch: int) -> None:
    with (
        tarfile.open(fileobj=layer, mode="r:") as members,
        tarfile.open(fileobj=to, mode="w|", format=tarfile.PAX_FORMAT) as made,
    ):
        for member in members:
            # In whole seconds: as a fraction it would be in a header of its own, and as exact as the engine's clock.
            member.mtime = min(int(member.mtime), epoch)
            member.pax_headers = {k: v for k, v in member.pax_headers.items() if k not in TIMES}
            made.addfile(member, members.extractfile(member) if member.isreg() else None)


def _configuration(config: Mapping[str, Any], layers: list[str], epoch: int) -> dict[str, Any]:
    kept = {key: config[key] for key in KEPT if key in config}
    of_container = config.get("config") or {}
    latest = datetime.fromtimestamp(epoch, UTC)
    return {
        **kept,
        "created": _moment(latest),
        "config": {key: of_container[key] for key in KEPT_OF_CONFIG if of_container.get(key)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}" for layer in layers]},
        "history": [_not_later(entry, latest) for entry in config.get("history", ())],
    }


def _not_later(entry: Mapping[str, Any], latest: datetime) -> dict[str, Any]:
    created = datetime.fromisoformat(entry["created"]) if "created" in entry else latest
    return {**entry, "created": entry["created"] if created < latest else _moment(latest)}


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _files(archive: Archive) -> dict[str, tuple[object, ...]]:
    """Every file of every layer: what it is, and the sha256 of its content."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(archive.file, "r:") as saved:
        for number, name in enumerate(archive.layers, 1):
            with _layer(saved, name) as layer, tarfile.open(fileobj=layer, mode="r:") as members:
                for member in members:
                    content = members.extractfile(member) if member.isreg() else None
                    about = (member.type, member.mode, member.uid, member.gid, member.mtime, member.linkname)
                    found[f"{member.name} in layer {number}"] = (*about, content and _sha256(content))
    return found


@contextmanager
def _layer(source: tarfile.TarFile, name: str) -> Iterator[IO[bytes]]:
    """A layer, unpacked where the engine keeps it packed."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as layer:
        shutil.copyfileobj(_member(source, name), layer)
        layer.seek(0)
        is_packed = layer.read(2) == GZIP
        layer.seek(0)
        if is_packed:
            with gzip.open(layer) as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            yield layer


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    content = archive.extractfile(name)
    if content is None:
        raise KeyError(f"{name} is no file")
    return content


def _sha256(file: IO[bytes]) -> str:
    """Of what is left to read."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
