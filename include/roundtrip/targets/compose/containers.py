"""Instances as containers: how they come to be, and what the engine says of them.

Rules:
1. What an instance is and how it is, the engine says: labels, state, health. No file of ours is asked.
2. An image is pulled by its digest, and only when the engine does not have it: a rollback needs no registry.
3. Compose makes containers, one at a time, each with a port of its own; they are ended one by one, so that the proxy can
   be drained of just these first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Placement
from roundtrip.targets import draining, ports
from roundtrip.targets.compose import overlay
from roundtrip.targets.compose.connections import open_connections
from roundtrip.targets.compose.engine import asking, connect
from roundtrip.targets.compose.infrastructure import ComposeInfrastructure
from roundtrip.targets.compose.overlay import Member
from roundtrip.targets.compose.program import Compose
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.planning import Start

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container
    from docker.models.images import Image

UP = ("running", "restarting", "paused")
GONE = ("dead", "removing")
STOP_SECONDS = 10
STOPS_AT_ONCE = 16
LAST_LINES = 5
ID_LETTERS = 12
"""of a container's id, as the engine itself names it in a network"""


@dataclass(frozen=True, order=True)
class ContainerInstance:
    """One container of a service."""

    service: str
    version: str
    number: int
    bundle: str
    configuration: str
    name: str
    port: int
    """on loopback of the engine's machine"""
    id: str = field(compare=False)

    @property
    def url(self) -> str:
        """By its id, which the environment's network knows: it stays when the container starts again."""
        return f"http://{self.id[:ID_LETTERS]}:{overlay.INSIDE_PORT}"


class Containers:
    """The instances of one environment."""

    def __init__(
        self,
        ground: ComposeInfrastructure,
        registry: str,
        configurations: Configurations,
    ) -> None:
        self._ground = ground
        self._folder = ground.folder / "sets"
        self._registry = registry
        self._configurations = configurations
        self._stopping = ThreadPoolExecutor(STOPS_AT_ONCE, thread_name_prefix="stopping")

    def prepare(self, placements: Collection[Placement]) -> Callable[[Start], list[ContainerInstance]]:
        """What starts instances of these, their images there. Raises ArtefactError, TargetError, HostError."""
        images = {}
        for p in sorted(placements):
            self._configurations.file(p.configuration)
            images[p] = self._image(p)
        return partial(self._start, images)

    def all(self) -> list[ContainerInstance]:
        return sorted(_instance(c) for c in self._containers())

    def running(self) -> list[ContainerInstance]:
        return sorted(_instance(c) for c in self._containers() if c.status == "running")

    def healthy(self, among: Collection[ContainerInstance] | None = None) -> list[ContainerInstance]:
        """Those that run and whose health check was right the last time."""
        found = sorted(_instance(c) for c in self._containers() if _is_healthy(c))
        return found if among is None else [i for i in found if i in set(among)]

    def lost(self) -> list[ContainerInstance]:
        """What the engine could not make whole, or not remove."""
        return sorted(_instance(c) for c in self._containers() if c.status in GONE)

    def idle(self, among: Collection[ContainerInstance]) -> list[ContainerInstance]:
        up = {_instance(c) for c in self._containers() if c.status in UP}
        return [i for i in among if i not in up]

    def ensure(self, instance: ContainerInstance) -> None:
        container = self._container(instance)
        if container is not None and container.status not in UP:
            with asking(instance.name):
                container.start()

    def begin_stop(self, instance: ContainerInstance) -> None:
        """The engine sends SIGTERM, and SIGKILL after STOP_SECONDS; that it has ended is seen by who looks."""
        container = self._container(instance)
        if container is not None:
            self._stopping.submit(container.stop, timeout=STOP_SECONDS)

    def forget(self, instance: ContainerInstance) -> None:
        """Remove the ended container."""
        container = self._container(instance)
        if container is not None:
            with asking(instance.name):
                container.remove(v=True, force=True)

    def wait_until_quiet(self, instances: Collection[ContainerInstance], still: Callable[[], None]) -> bool:
        """Whether the proxy has no connection there any more."""
        names = {i.name for i in instances}

        def connections() -> int:
            return open_connections(self._client, self._ground.proxy, names, overlay.INSIDE_PORT)

        return draining.wait_until_quiet(connections, still)

    def last_words(self, instance: ContainerInstance) -> tuple[str, str]:
        container, where = self._container(instance), f"docker logs {instance.name}"
        if container is None:
            return where, "the container is gone"
        with asking(instance.name):
            text = container.logs(tail=LAST_LINES).decode(errors="replace")
        return where, " | ".join(text.splitlines()) or "it said nothing"

    def scraped(self, instances: Collection[ContainerInstance]) -> list[dict[str, object]]:
        """Each at its own port, which is its own for good: what one counts is never taken for another's."""
        return [
            {
                "targets": [f"127.0.0.1:{i.port}"],
                "labels": {"service": i.service, "version": i.version, "instance": i.name},
            }
            for i in sorted(instances)
        ]

    def tidy(self) -> None:
        """Files of sets that have no container left; images stay for the next rollback."""
        used = {c.labels.get("com.docker.compose.project") for c in self._containers()}
        for folder in self._folder.glob("*"):
            if folder.name not in used:
                for file in folder.iterdir():
                    file.unlink(missing_ok=True)
                folder.rmdir()

    @cached_property
    def _client(self) -> DockerClient:
        return connect(self._ground.engine)

    def _containers(self) -> list[Container]:
        """Every container of this environment's services; one that is removed meanwhile is not there."""
        labels = [f"{overlay.ENVIRONMENT}={self._ground.environment.name}", overlay.SERVICE]
        with asking(self._ground.engine):
            return self._client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)

    def _container(self, instance: ContainerInstance) -> Container | None:
        return next((c for c in self._containers() if c.id == instance.id), None)

    def _image(self, p: Placement) -> Image:
        """The image of this digest in the engine, which is this version of this service."""
        image = self._found(p) or self._pulled(p)
        has = (image.labels.get(overlay.TITLE), image.labels.get(overlay.REVISION))
        if has != (p.service, p.version):
            raise TargetError(
                f"the bundle is {has[0]} {has[1]}, expected {p.service} {p.version}",
                where=self._reference(p),
                remedy="deploy the image of this version",
            )
        return image

    def _reference(self, p: Placement) -> str:
        return f"{self._registry}/{p.service}@{p.bundle}"

    def _found(self, p: Placement) -> Image | None:
        from docker.errors import ImageNotFound

        with asking(self._reference(p)):
            try:
                return self._client.images.get(self._reference(p))
            except ImageNotFound:
                return None

    def _pulled(self, p: Placement) -> Image:
        with asking(self._reference(p)):
            return self._client.images.pull(f"{self._registry}/{p.service}", tag=p.bundle)

    def _start(self, images: Mapping[Placement, Image], start: Start) -> list[ContainerInstance]:
        p = start.placement
        name = overlay.set_name(self._ground.environment.name, p)
        section = overlay.section_of(images[p].labels, self._reference(p))
        variables = self._configurations.variables(p.configuration, self._ground.places())
        platform, laid_over = self._folder / name / "compose.yaml", self._folder / name / "overlay.yaml"
        durable.write_json(platform, overlay.platform_file(p.service, section))
        compose = Compose(self._ground.engine, name, (platform, laid_over), variables)
        before = {i.id for i in self.all()}
        for _ in start.numbers:
            member = Member(p, self._reference(p), section, variables, self._free_port())
            durable.write(laid_over, overlay.overlay(self._ground.place, member))
            compose.add(p.service, count=self._size(name) + 1)
        return [i for i in self.all() if i.id not in before]

    def _size(self, project: str) -> int:
        return sum(c.labels.get("com.docker.compose.project") == project for c in self._containers())

    def _free_port(self) -> int:
        given = ports.given(self._ground.folder.parent) | {i.port for i in self.all()}
        return ports.free_ports(1, avoid=given)[0]


def _is_healthy(container: Container) -> bool:
    health: dict[str, Any] = container.attrs["State"].get("Health") or {}
    return container.status == "running" and health.get("Status") == "healthy"


def _instance(container: Container) -> ContainerInstance:
    labels = container.labels
    return ContainerInstance(
        labels[overlay.SERVICE],
        labels[overlay.VERSION],
        int(labels[overlay.NUMBER]),
        labels[overlay.BUNDLE],
        labels[overlay.CONFIGURATION],
        str(container.name),
        int(labels[overlay.PORT]),
        str(container.id),
    )
