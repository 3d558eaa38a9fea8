"""Stand-ins for the public bases of the platform's Dockerfiles, made of this machine's own Python and Node: none can be pulled.

They know the machine's package registries as it does: its certificates, and the variables that name a registry or a proxy.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from tests.containers.base import FILES, VERSION, add_folder, add_link, add_text, everybody_reads, linked

TOOLS = ("env", "cat", "cp", "ln", "ls", "mkdir", "mv", "rm", "uname")
"""of coreutils; what build scripts and start scripts call"""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NAMES_CERTIFICATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
NAMES_REGISTRIES = (
    *("PIP_INDEX_URL", "npm_config_registry", "NPM_CONFIG_REGISTRY"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
NPM = Path("/usr/lib/node_modules/npm")


@dataclass(frozen=True)
class Contents:
    """What a base has beside the shell, the tools and the libraries; by paths in the image."""

    programs: Mapping[str, Path]
    folders: Mapping[str, Path]
    links: Mapping[str, str]
    extensions: Sequence[Path] = ()
    """what else is linked to libraries"""


def python_base(client: docker.DockerClient) -> str:
    """The name of an image with Python, its whole standard library and `sh`, which the engine has after this."""
    interpreter = (Path(sys.base_prefix) / "bin" / f"python{VERSION}").resolve()
    library = Path(sysconfig.get_path("stdlib"))
    python = Contents(
        {f"usr/local/bin/python{VERSION}": interpreter},
        {f"usr/local/lib/python{VERSION}": library},
        {"usr/local/bin/python3": f"python{VERSION}"},
        sorted(library.glob("lib-dynload/*.so")),
    )
    return _base(client, "roundtrip-test-platform-python", python)


def node_base(client: docker.DockerClient) -> str:
    """The name of an image with Node, npm and `sh`, which the engine has after this."""
    npm = {"usr/bin/npm": "../lib/node_modules/npm/bin/npm-cli.js"}
    node = Contents({"usr/bin/node": _node()}, {NPM.as_posix().lstrip("/"): NPM}, npm)
    return _base(client, "roundtrip-test-platform-node", node)


def _node() -> Path:
    program = shutil.which("node")
    if program is None:
        raise RuntimeError("no node on PATH")
    return Path(program).resolve()


def _base(client: docker.DockerClient, name: str, of: Contents) -> str:
    try:
        client.images.get(f"{name}:latest")
    except ImageNotFound:
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            _write(Path(file.name), of)
            client.api.import_image_from_file(file.name, name, "latest", changes=_variables())
    return f"{name}:latest"


def _write(file: Path, of: Contents) -> None:
    tools = {f"bin/{name}": Path(shutil.which(name) or name) for name in TOOLS}
    placed = {**of.programs, **tools, "bin/sh": Path("/bin/sh").resolve()}
    # Node is linked to all that a wheel may ask of a distribution: the C and C++ libraries with their older names.
    libraries = linked([*placed.values(), *of.extensions, _node()])
    with tarfile.open(file, "w", dereference=True) as tar:
        add_folder(tar, "root", 0o700)
        add_folder(tar, "tmp", 0o1777)
        for name, text in FILES.items():
            add_text(tar, name, text)
        for name, path in {**placed, **libraries}.items():
            tar.add(path, name, filter=everybody_reads)
        for name, folder in of.folders.items():
            tar.add(folder, name, filter=_not_installed)
        # Scripts look for `env` in /usr/bin.
        for name, to in {**of.links, "usr/bin/env": "../../bin/env"}.items():
            add_link(tar, name, to)
        tar.add(CERTIFICATES, CERTIFICATES.as_posix().lstrip("/"), filter=everybody_reads)


def _not_installed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """What this machine has installed beside the standard library, and its tests, stay here."""
    parts = Path(member.name).parts
    if {"site-packages", "__pycache__", "test", "idlelib"} & set(parts) and "node_modules" not in parts:
        return None
    return everybody_reads(member)


def _variables() -> list[str]:
    certificates = {name: str(CERTIFICATES) for name in NAMES_CERTIFICATES}
    registries = {name: os.environ[name] for name in NAMES_REGISTRIES if name in os.environ}
    given = {"PATH": "/usr/local/bin:/usr/bin:/bin", **certificates, **registries}
    return [f"ENV {name}={value}" for name, value in given.items()]
