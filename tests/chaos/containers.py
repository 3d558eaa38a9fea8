"""The ground of the compose target: containers of an engine that is the campaign's own, started from images of a registry.

A container's main process is one of this machine's as well. Killed as such it has crashed, and the engine starts it again; what
somebody has killed by way of the engine stays down, which is another fault.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import ImageNotFound
from docker.models.containers import Container

from roundtrip.plan.home import Home
from roundtrip.supervision.daemon import Daemon
from roundtrip.targets.compose.infrastructure import ComposeInfrastructure
from roundtrip.targets.compose.overlay import REVISION, TITLE
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from tests.chaos import observer
from tests.chaos.damage import Undo, with_another_byte
from tests.chaos.ground import PRODUCTION, Artefact
from tests.chaos.network import Way
from tests.containers.host import Host, host

NETWORK = PRODUCTION.replace("_", "-")
SERVERS = ("traefik", "redis")
REDIS_PORT = 6379


@dataclass(frozen=True)
class Containers:
    """On one host."""

    home: Home
    host: Host
    prefix: str = "compose"
    warm_up_seconds: float = 4

    @property
    def target(self) -> Mapping[str, Any]:
        return self.host.target

    def end(self, infrastructure: LoopbackInfrastructure) -> None:
        if not isinstance(infrastructure, ComposeInfrastructure):
            raise RuntimeError(f"{infrastructure.environment.name} is not of containers")
        if infrastructure.folder.exists():
            infrastructure.remove()

    def running(self) -> dict[tuple[str, str], int]:
        return observer.running_containers(self.host.engine, NETWORK)

    def pid(self, program: str) -> int | None:
        if program not in SERVERS:
            return Daemon(self.home.environment(PRODUCTION) / "supervisor").processes()[program].pid or None
        with self.containers() as there:
            found = [str(one.id) for one in there if one.name == server(program)]
        return next(iter(main_processes(found).values()), None)

    def instances(self, version: str) -> Mapping[str, int]:
        with self.containers() as there:
            names = {str(one.id): str(one.name) for one in there if one.labels.get(REVISION) == version}
        return {names[identity]: pid for identity, pid in main_processes(names).items()}

    def way_to_redis(self, url: str) -> Way:
        """What is published on loopback leads there too."""
        pid = self.pid("redis")
        if pid is None:
            raise RuntimeError("redis does not run")
        return Way(REDIS_PORT, within=pid)

    def damage(self, artefact: Artefact, dice: random.Random) -> Undo:
        """In the registry, where the engine has to take it from. Its manifest: layers may still be in use."""
        restore = with_another_byte(self.host.registry.blob(artefact.digest), dice)
        self.take_away(artefact)
        return restore

    def keep_from_starting(self, artefact: Artefact, dice: random.Random) -> Undo:
        restore = self.damage(artefact, dice)
        with self.containers() as there:
            for container in there:
                if is_of(container, artefact):
                    container.remove(force=True, v=True)
        return restore

    def take_away(self, artefact: Artefact) -> None:
        """The image by every name that the engine has for it; what runs from it goes on."""
        with closing(self.client()) as client:
            images = client.images.list(
                filters={"label": [f"{TITLE}={artefact.service}", f"{REVISION}={artefact.version}"]}
            )
            for name in [name for image in images for name in (*image.tags, *image.attrs["RepoDigests"])]:
                with suppress(ImageNotFound):  # a digest goes with the last tag of its repository
                    client.images.remove(name, force=True)

    def client(self) -> docker.DockerClient:
        """A new one each time: the engine may have been another one before."""
        return docker.DockerClient(base_url=self.host.engine)

    @contextmanager
    def containers(self) -> Iterator[list[Container]]:
        """Of production, running or not, the servers too."""
        with closing(self.client()) as client:
            yield client.containers.list(all=True, filters={"network": NETWORK}, ignore_removed=True)


def server(name: str) -> str:
    """Container of traefik or redis."""
    return f"{NETWORK}-{name}"


def is_of(container: Container, artefact: Artefact) -> bool:
    return bool(
        (container.labels.get(TITLE), container.labels.get(REVISION)) == (artefact.service, artefact.version)
    )


def main_processes(containers: Iterable[str]) -> dict[str, int]:
    """The first process of each container that runs, by the container's id, as this machine numbers it.

    The engine numbers processes as its own namespace does. The kernel says whose a process is by its control group, and that
    it is the first one by its number in the innermost namespace.
    """
    found = {}
    wanted = set(containers)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            group = (process / "cgroup").read_text()
            if (of := next((one for one in wanted if one in group), None)) and _is_first(process):
                found[of] = int(process.name)
    return found


def _is_first(process: Path) -> bool:
    lines = (process / "status").read_text().splitlines()
    numbers = next(line for line in lines if line.startswith("NSpid:"))
    return numbers.split()[-1] == "1"


def engine_process(address: str) -> int:
    """dockerd's own, as this machine numbers it."""
    settings = str(Path(address.removeprefix("unix://")).with_name("daemon.json"))
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "dockerd" and settings in (process.info["cmdline"] or ()):
            return int(process.pid)
    raise RuntimeError(f"no dockerd at {address}")


@contextmanager
def containers(root: Path) -> Iterator[Containers]:
    """An engine that is started again where it is killed, with the images that stand in for the public ones."""
    with host(root / "host", comes_back=True) as made:
        yield Containers(Home(root), made)
