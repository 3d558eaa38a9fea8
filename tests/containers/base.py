"""A small image with Python 3, made of what runs the tests, because images cannot be pulled everywhere.

It is made from nothing: the interpreter below `sys.base_prefix`, its standard library, `/bin/sh` and the libraries
that `ldd` names for them. Everything is moved to where any other image has it, so an image is the same to a test
whether the interpreter is a distribution's or was built in somebody's home.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

import docker
from docker.errors import ImageNotFound

REPOSITORY = "roundtrip-test-base"
TAG = "python"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"

LEFT_OUT = re.compile(
    r"test|tests|idlelib|ensurepip|tkinter|turtledemo|lib2to3|pydoc_data|site-packages|dist-packages"
    r"|config-.*|_tkinter.*|_test.*|_ctypes_test.*|_xxtestfuzz.*|.*\.opt-[12]\.pyc"
)
"""Names within the standard library that no service of a test imports; they are nine tenths of it."""

LIBRARY = re.compile(r"^\s+(\S+) => (/\S+) \(", re.MULTILINE)
LOADER = re.compile(r"^\s+(/\S+) \(", re.MULTILINE)

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}


def base_image(client: docker.DockerClient) -> str:
    """The name of the image, which the engine has after this."""
    name = f"{REPOSITORY}:{TAG}"
    try:
        client.images.get(name)
    except ImageNotFound:
        with tempfile.NamedTemporaryFile(suffix=".tar") as file:
            _write(Path(file.name))
            client.api.import_image_from_file(file.name, REPOSITORY, TAG, changes=['CMD ["python3"]'])
        client.images.get(name)
    return name


def _write(file: Path) -> None:
    """The root file system, as a tar file."""
    interpreter = (Path(sys.base_prefix) / "bin" / f"python{VERSION}").resolve()
    shell = Path("/bin/sh").resolve()
    library = Path(sysconfig.get_path("stdlib"))
    extensions = [path for path in library.glob("lib-dynload/*.so") if not LEFT_OUT.fullmatch(path.name)]
    with tarfile.open(file, "w", dereference=True) as tar:
        add_folder(tar, "root", 0o700)
        add_folder(tar, "tmp", 0o1777)
        for name, text in FILES.items():
            add_text(tar, name, text)
        tar.add(shell, "bin/sh", filter=everybody_reads)
        tar.add(interpreter, f"usr/local/bin/python{VERSION}", filter=everybody_reads)
        add_link(tar, "usr/local/bin/python3", f"python{VERSION}")
        tar.add(library, f"usr/local/lib/python{VERSION}", filter=_needed)
        for name, path in linked([interpreter, shell, *extensions]).items():
            tar.add(path, name, filter=everybody_reads)


def linked(programs: Iterable[Path]) -> dict[str, Path]:
    """The libraries that programs are linked to, by their place in the image.

    The loader is where the programs say, by its full path. All others are in a folder that it always looks into,
    wherever the machine has them.
    """
    said = subprocess.run(
        ["ldd", *map(str, programs)],
        capture_output=True,
        text=True,
        check=False,  # it fails if one of them is linked to nothing, which is fine
    ).stdout
    places = {f"usr/lib/{name}": Path(path) for name, path in LIBRARY.findall(said)}
    return places | {path.lstrip("/"): Path(path) for path in LOADER.findall(said)}


def _needed(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if LEFT_OUT.fullmatch(Path(member.name).name) else everybody_reads(member)


def everybody_reads(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Times stay, or the byte code beside the sources would count as out of date."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.type = tarfile.DIRTYPE
    member.mode = mode
    tar.addfile(member)


def add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    tar.addfile(member, io.BytesIO(text.encode()))


def add_link(tar: tarfile.TarFile, name: str, to: str) -> None:
    member = tarfile.TarInfo(name)
    member.type = tarfile.SYMTYPE
    member.linkname = to
    tar.addfile(member)
