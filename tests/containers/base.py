"""A base image with Python, made of the interpreter that runs the tests: its library, what it is linked with, and a shell."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

import docker
from docker.errors import ImageNotFound

NAME = "roundtrip-test-base:python"
SHELL = Path("/bin/dash")
NOT_NEEDED = (
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "tkinter",
    "turtledemo",
    "lib2to3",
    "site-packages",
    "__pycache__",
)
LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")
USERS = "root:x:0:0:root:/:/bin/sh\nservice:x:10001:10001:service:/tmp:/bin/sh\n"
"""Redis and others ask who they are."""
LIBRARIES = ("libm.so.6", "libdl.so.2", "librt.so.1", "libpthread.so.0")
"""of the C library, which other programs than the interpreter are linked with"""


def base_image(client: docker.DockerClient) -> str:
    """Its name in the engine; made when it is not there."""
    try:
        client.images.get(NAME)
    except ImageNotFound:
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            _pack(Path(file.name))
            repository, _, tag = NAME.partition(":")
            client.api.import_image_from_file(file.name, repository=repository, tag=tag)
    return NAME


def _pack(file: Path) -> None:
    interpreter = Path(sys.executable).resolve()
    library = Path(sysconfig.get_path("stdlib"))
    extensions = sorted((library / "lib-dynload").glob("*.so"))
    linked = {path for program in (interpreter, SHELL, *extensions) for path in _linked(program)}
    c_library = next(path for path in linked if path.name == "libc.so.6")
    linked |= {found for name in LIBRARIES if (found := c_library.with_name(name)).exists()}
    with tarfile.open(file, "w", dereference=True) as archive:
        archive.add(interpreter, str(interpreter))
        archive.add(library, str(library), filter=_needed)
        for path in sorted(linked):
            archive.add(path, str(path))
        archive.add(SHELL, "/bin/sh")
        _link(archive, "/usr/local/bin/python3", str(interpreter))
        _folder(archive, "/tmp", 0o1777)
        _text(archive, "/etc/passwd", USERS)


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if Path(entry.name).name in NOT_NEEDED else entry


def _linked(program: Path) -> list[Path]:
    """What the loader loads for it; nothing for a program that is linked statically."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return [Path(path) for path in LIBRARY.findall(said)]


def _link(archive: tarfile.TarFile, name: str, to: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, to
    archive.addfile(entry)


def _folder(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _text(archive: tarfile.TarFile, name: str, text: str) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(text.encode())
    archive.addfile(entry, io.BytesIO(text.encode()))
