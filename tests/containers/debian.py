"""Images that stand in for the public ones of docker-compose.yaml, made of Debian's packages, since none can be pulled everywhere.

Python is the one that runs the tests.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import docker
from docker.errors import ImageNotFound

from tests.containers.base import VERSION, linked
from tests.containers.bases import CERTIFICATES, NAMES_CERTIFICATES, NAMES_REGISTRIES

RELEASE = "bookworm"
PACKAGES = (
    *("ca-certificates", "git", "python3", "python3-venv", "tini", "wget"),
    *("docker-registry", "haproxy", "postgresql", "prometheus", "redis-server", "redis-tools"),
)
NAME = "roundtrip-test-debian"
KEPT = Path(__file__).resolve().parents[2] / ".roundtrip" / "containers"
"""between runs: what takes a minute to make"""
MAKING_LIMIT_SECONDS = 900

POSTGRES = """\
#!/bin/sh
# As the public image: a cluster in the volume on the first start, a user with the password of a file, and one database.
set -e
data=/var/lib/postgresql/data
as="setpriv --reuid postgres --regid postgres --clear-groups"
chown postgres "$data"
if [ ! -f "$data/PG_VERSION" ]; then
  $as initdb -D "$data" -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8
  echo "host all all all scram-sha-256" | $as tee -a "$data/pg_hba.conf" >/dev/null
  echo "CREATE DATABASE $POSTGRES_DB" | $as postgres --single -D "$data" postgres
fi
exec $as postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp
"""
REGISTRY = """\
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000"}
"""
STAND_INS = {
    "POSTGRES_IMAGE": (
        "ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8\n"
        "RUN install -d /var/lib/postgresql/data\n"
        'COPY postgres /start\nCMD ["sh", "/start"]\n'
    ),
    "REDIS_IMAGE": "RUN install -d -o redis /data\n",
    "REGISTRY_IMAGE": 'COPY registry /registry.yml\nCMD ["docker-registry", "serve", "/registry.yml"]\n',
    "HAPROXY_IMAGE": "",
    "PROMETHEUS_IMAGE": 'RUN install -d -o nobody /prometheus\nUSER nobody\nENTRYPOINT ["prometheus"]\n',
}
"""variable of docker-compose.yaml -> what is added to Debian"""


def why_none() -> str | None:
    """Why Debian's packages cannot be had here; None if they can."""
    return None if shutil.which("debootstrap") else "no debootstrap on PATH (Debian's package debootstrap)"


def debian_image(client: docker.DockerClient) -> str:
    """The name of an image with all of these packages and this Python, which the engine has after this."""
    try:
        client.images.get(f"{NAME}:latest")
    except ImageNotFound:
        certificates = [f"ENV {name}={CERTIFICATES}" for name in NAMES_CERTIFICATES]
        registries = [f"ENV {name}={os.environ[name]}" for name in NAMES_REGISTRIES if name in os.environ]
        packages = f"{NAME}-packages"
        client.api.import_image_from_file(
            str(_archive()), packages, "latest", changes=[*certificates, *registries]
        )
        with tempfile.TemporaryDirectory() as context:
            _place_python(Path(context) / "root")
            (Path(context) / "Dockerfile").write_text(f"FROM {packages}\nCOPY root/ /\n")
            client.images.build(path=context, tag=NAME, rm=True)
    return f"{NAME}:latest"


def stand_ins(client: docker.DockerClient, folder: Path) -> dict[str, str]:
    """Names of images, by the variables of docker-compose.yaml that name them."""
    base = debian_image(client)
    folder.mkdir()
    (folder / "postgres").write_text(POSTGRES)
    (folder / "registry").write_text(REGISTRY)
    names = {}
    for variable, added in STAND_INS.items():
        names[variable] = f"roundtrip-test-{variable.lower().removesuffix('_image')}-of-debian"
        (folder / "Dockerfile").write_text(f"FROM {base}\n{added}")
        client.images.build(path=str(folder), tag=names[variable], rm=True)
    return names


def _archive() -> Path:
    """The root file system as a tar file; made once for these packages."""
    digest = hashlib.sha256(" ".join((RELEASE, *PACKAGES)).encode()).hexdigest()[:12]
    file = KEPT / f"debian-{digest}.tar"
    if not file.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
            root, making = Path(scratch) / "root", Path(scratch) / "debian.tar"
            _run("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", RELEASE, str(root))
            # What is needed is there; an image that is built on it has nothing to fetch.
            (root / "etc" / "apt" / "sources.list").write_text("")
            shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
            shutil.rmtree(root / "var" / "cache" / "apt" / "archives")
            _run("tar", "--one-file-system", "-C", str(root), "-cf", str(making), ".")
            making.rename(file)
    return file


def _place_python(root: Path) -> None:
    """This interpreter before Debian's own, with its standard library and what they are linked to."""
    library = Path(sysconfig.get_path("stdlib"))
    left_out = shutil.ignore_patterns("site-packages", "__pycache__", "test", "idlelib")
    shutil.copytree(library, root / "usr/local/lib" / f"python{VERSION}", ignore=left_out)
    program = root / "usr/local/bin" / f"python{VERSION}"
    program.parent.mkdir(parents=True)
    interpreter = (Path(sys.base_prefix) / "bin" / program.name).resolve()
    shutil.copy(interpreter, program)
    program.with_name("python3").symlink_to(program.name)
    # Debian's own libraries are found first; the loader is Debian's.
    (root / "usr/lib").mkdir()
    for name, path in linked([interpreter, *library.glob("lib-dynload/*.so")]).items():
        if name.startswith("usr/lib/"):
            shutil.copy(path, root / name)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=MAKING_LIMIT_SECONDS, check=False)
    assert done.returncode == 0, (command[0], done.stdout[-1000:], done.stderr[-1000:])
