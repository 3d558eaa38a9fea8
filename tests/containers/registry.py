"""An image registry of one's own for tests: Debian's docker-registry on loopback, whose blobs are plain files."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.conftest import free_port

PROGRAM = "docker-registry"
START_LIMIT_SECONDS = 20
END_LIMIT_SECONDS = 10


@dataclass(frozen=True)
class Registry:
    """A registry that runs. Engines speak plain HTTP to it, as to any registry on loopback."""

    address: str
    """`127.0.0.1:port`, the first part of an image's name."""
    storage: Path

    def blob(self, digest: str) -> Path:
        """The file of a layer, a configuration or a manifest, for a test that looks at it or harms it."""
        algorithm, _, value = digest.partition(":")
        return self.storage / "docker/registry/v2/blobs" / algorithm / value[:2] / value / "data"


def why_none() -> str | None:
    """Why no registry can be had here; None if one can."""
    return None if shutil.which(PROGRAM) else f"no {PROGRAM} on PATH (Debian's package {PROGRAM})"


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A registry of what is below `folder`, where it keeps everything, its log too."""
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
