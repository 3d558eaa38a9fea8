"""A real registry on loopback: Debian's docker-registry, with its blobs in a folder."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import free_port

READY_SECONDS = 20
POLL_SECONDS = 0.1
CONFIGURATION = """\
version: 0.1
log: {{level: warn}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
http: {{addr: {address}}}
"""


@dataclass(frozen=True)
class Registry:
    """Where it is, and where its content lies."""

    address: str
    storage: Path

    def blob(self, digest: str) -> Path:
        """The file of a blob or manifest."""
        kind, _, digits = digest.partition(":")
        return self.storage / "docker" / "registry" / "v2" / "blobs" / kind / digits[:2] / digits / "data"


def why_none() -> str | None:
    """Why there can be no registry here; None when there can."""
    if shutil.which("docker-registry") is None:
        return "no docker-registry on PATH (a package of Debian)"
    return None


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """A registry for as long as the block lasts."""
    made = Registry(f"127.0.0.1:{free_port()}", folder / "storage")
    (folder / "registry.yml").write_text(
        CONFIGURATION.format(storage=made.storage, address=made.address), encoding="utf-8"
    )
    with (folder / "registry.log").open("w") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")], stdout=log, stderr=log
        )
    try:
        _wait_until_it_answers(made.address, process)
        yield made
    finally:
        process.terminate()
        process.wait(READY_SECONDS)


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            httpx.get(f"http://{address}/v2/", trust_env=False).raise_for_status()
        except httpx.HTTPError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(POLL_SECONDS)
        else:
            return
