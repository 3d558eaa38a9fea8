"""A Docker Engine of the tests' own: its data, socket and networks are nobody else's, and nothing of it is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import psutil
from docker.errors import DockerException

READY_SECONDS = 60
END_SECONDS = 30
POLL_SECONDS = 0.1
ADDRESSES = "base=10.213.0.0/16,size=24"
"""of the networks that tests make"""


def why_none() -> str | None:
    """Why there can be no engine here; None when there can."""
    if os.geteuid() != 0:
        return "no right to start dockerd (not root)"
    if shutil.which("dockerd") is None:
        return "no dockerd on PATH (Debian's package docker.io)"
    return None


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """The address of an engine whose data is in `folder`, for as long as the block lasts."""
    # A socket's path may have some hundred letters, and folders of tests are longer.
    with tempfile.TemporaryDirectory(prefix="engine-") as short:
        address = f"unix://{short}/docker.sock"
        with (folder / "dockerd.log").open("w") as log:
            process = subprocess.Popen(_command(folder, Path(short), address), stdout=log, stderr=log)
        try:
            _wait_until_it_answers(address, process, folder / "dockerd.log")
            yield address
        finally:
            if process.poll() is None:
                _remove_containers(address)
            _end(process)


def _command(folder: Path, short: Path, address: str) -> list[str]:
    return [
        "dockerd",
        f"--host={address}",
        f"--data-root={folder / 'data'}",
        f"--exec-root={short / 'exec'}",
        f"--pidfile={short / 'dockerd.pid'}",
        "--bridge=none",
        f"--default-address-pool={ADDRESSES}",
    ]


def _wait_until_it_answers(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            docker.DockerClient(base_url=address).ping()
        except DockerException:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(POLL_SECONDS)
        else:
            return


def _remove_containers(address: str) -> None:
    """And networks: what the engine leaves of them in the kernel outlives it."""
    client = docker.DockerClient(base_url=address)
    for container in client.containers.list(all=True):
        container.remove(force=True, v=True)
    client.networks.prune()


def _end(process: subprocess.Popen[bytes]) -> None:
    """The engine, and containerd with its shims, which are its children."""
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    process.wait(END_SECONDS)
    _, left = psutil.wait_procs(family, timeout=END_SECONDS)
    for one in left:
        one.kill()
