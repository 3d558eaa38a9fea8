"""An image registry of one's own for tests: Debian's docker-registry on loopback, whose blobs are plain files."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.conftest import free_port

PROGRAM = "docker-registry"
START_LIMIT_SECONDS = 20
END_LIMIT_SECONDS = 10
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Registry:
    """A registry that runs. Engines speak plain HTTP to it, as to any registry on loopback."""

    address: str
    """`127.0.0.1:port`, the first part of an image's name."""
    storage: Path

    def push(self, repository: str, content: bytes, tag: str = "latest") -> str:
        """An image with one layer of one file of this content; its digest. No engine is needed."""
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            member = tarfile.TarInfo("content")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        packed = gzip.compress(layer.getvalue(), mtime=0)
        rootfs = {"type": "layers", "diff_ids": [_digest(layer.getvalue())]}
        about = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
        kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip")
        config, only = (
            {"mediaType": kind, "size": len(data), "digest": self.push_blob(repository, data)}
            for kind, data in zip(kinds, (about, packed), strict=True)
        )
        return self.push_manifest(repository, tag, {"config": config, "layers": [only]})

    def push_blob(self, repository: str, data: bytes) -> str:
        """Its digest."""
        begun = requests.post(
            f"http://{self.address}/v2/{repository}/blobs/uploads/", timeout=START_LIMIT_SECONDS
        )
        begun.raise_for_status()
        where, digest = begun.headers["Location"], _digest(data)
        sent = requests.put(where, params={"digest": digest}, data=data, timeout=START_LIMIT_SECONDS)
        sent.raise_for_status()
        return digest

    def push_manifest(self, repository: str, tag: str, content: Mapping[str, Any]) -> str:
        """Its digest."""
        data = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **content}).encode()
        place = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        sent = requests.put(place, data=data, headers={"Content-Type": MANIFEST}, timeout=START_LIMIT_SECONDS)
        sent.raise_for_status()
        return _digest(data)

    def manifest(self, repository: str, tag: str) -> dict[str, Any]:
        """The manifest under this tag or digest."""
        place = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        answer = requests.get(place, headers={"Accept": MANIFEST}, timeout=START_LIMIT_SECONDS)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def blob(self, digest: str) -> Path:
        """The file of a layer, a configuration or a manifest, for a test that looks at it or harms it."""
        algorithm, _, value = digest.partition(":")
        return self.storage / "docker/registry/v2/blobs" / algorithm / value[:2] / value / "data"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def why_none() -> str | None:
    """Why no registry can be had here; None if one can."""
    return None if shutil.which(PROGRAM) else f"no {PROGRAM} on PATH (Debian's package {PROGRAM})"


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A registry that keeps everything below `folder`, its log too; what is in `storage` there, it has."""
    made = Registry(f"127.0.0.1:{free_port()}", folder.resolve() / "storage")
    made.storage.mkdir(parents=True, exist_ok=True)
    settings = folder / "registry.yml"
    settings.write_text(json.dumps(_settings(made)))  # any JSON is YAML
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            [shutil.which(PROGRAM) or PROGRAM, "serve", str(settings)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={},  # a variable REGISTRY_... would count for more than the file
        )
        try:
            _wait_until_it_answers(made, process, folder / "registry.log")
            yield made
        finally:
            process.terminate()
            process.wait(END_LIMIT_SECONDS)


def _settings(made: Registry) -> dict[str, object]:
    """Without its cache of descriptors: what a test changes in the storage is what is served."""
    return {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(made.storage)}, "delete": {"enabled": True}},
        "http": {"addr": made.address},
    }


def _wait_until_it_answers(made: Registry, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while True:
        with suppress(requests.ConnectionError):
            requests.get(f"http://{made.address}/v2/", timeout=START_LIMIT_SECONDS).raise_for_status()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{PROGRAM} does not answer; its log:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
