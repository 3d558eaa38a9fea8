"""Instances as containers: how they come to be, and what the engine says of them.

Rules:
1. What an instance is and how it is, the engine says: labels, state, health. No file of ours is asked.
2. Compose makes containers, one at a time, each with a port of its own; they are ended one by one, so that the proxy can
   be drained of just these first.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from roundtrip import durable
from roundtrip.plan.deployment import Placement
from roundtrip.targets import draining, ports
from roundtrip.targets.compose import overlay
from roundtrip.targets.compose.connections import addresses, open_connections
from roundtrip.targets.compose.engine import asking
from roundtrip.targets.compose.images import reference, verified
from roundtrip.targets.compose.infrastructure import ComposeInfrastructure
from roundtrip.targets.compose.overlay import NewInstance
from roundtrip.targets.compose.program import Compose
from roundtrip.targets.configuration import Configurations
from roundtrip.targets.instances import Start

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

UP = ("running", "restarting", "paused")
NEVER_UP = ("created", "dead", "removing")
"""states of a container that was never started, or that its engine could not make whole or remove"""
PROJECT = "com.docker.compose.project"
GONE = (404, 409)
"""the engine's answers about a container that is no more, or does not run any more"""
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
        infrastructure: ComposeInfrastructure,
        registry: str,
        configurations: Configurations,
    ) -> None:
        self._infrastructure = infrastructure
        self._folder = infrastructure.folder / "sets"
        self._registry = registry
        self._configurations = configurations
        self._stopping = ThreadPoolExecutor(STOPS_AT_ONCE, thread_name_prefix="stopping")

    def prepare(self, placements: Collection[Placement]) -> Callable[[Start], list[ContainerInstance]]:
        """What starts instances of these, their images there. Raises ArtefactError, TargetError, HostError."""
        sections: dict[Placement, Mapping[str, Any]] = {}
        for p in sorted(placements):
            self._configurations.file(p.configuration)
            image, name = verified(self._client, self._registry, p), reference(self._registry, p)
            section = overlay.section_of(image.labels, name)
            overlay.require_health_check(image.attrs["Config"], section, name)
            sections[p] = section
        return partial(self._start, sections)

    def all(self) -> list[ContainerInstance]:
        return self._those()

    def running(self) -> list[ContainerInstance]:
        return self._those(status=["running"])

    def healthy(self, among: Collection[ContainerInstance] | None = None) -> list[ContainerInstance]:
        """Those that run and whose health check was right the last time; before the first time it is run here."""
        wanted = set(self.running() if among is None else among)
        well = wanted & set(self._those(status=["running"], health=["healthy"]))
        if left := wanted - well:
            starting = self._those(status=["running"], health=["starting"])
            well |= {i for i in starting if i in left and self._is_well(i)}
        return sorted(well)

    def lost(self) -> list[ContainerInstance]:
        """What the engine could not make whole, start or remove."""
        return self._those(status=NEVER_UP)

    def idle(self, among: Collection[ContainerInstance]) -> list[ContainerInstance]:
        up = set(self._those(status=UP))
        return [i for i in among if i not in up]

    def ensure(self, instance: ContainerInstance) -> None:
        """Have it running; for one that runs the engine has nothing to do."""
        container = self._container(instance.id)
        if container is not None and container.status not in UP:
            with asking(instance.name):
                container.start()

    def begin_stop(self, instance: ContainerInstance) -> None:
        """The engine sends SIGTERM, and SIGKILL after the grace that the platform's file gives it."""
        container = self._container(instance.id)
        if container is not None:
            self._stopping.submit(container.stop)

    def forget(self, instance: ContainerInstance) -> None:
        """Remove the ended container."""
        self._remove(instance.id)

    def wait_until_quiet(self, instances: Collection[ContainerInstance], still: Callable[[], None]) -> bool:
        """Whether the proxy has no connection there any more."""
        client, proxy = self._client, self._infrastructure.proxy
        retiring = {address for i in instances for address in addresses(client, i.id)}

        def connections() -> int:
            return open_connections(client, proxy, retiring, overlay.INSIDE_PORT)

        return draining.wait_until_quiet(connections, still)

    def last_words(self, instance: ContainerInstance) -> tuple[str, str]:
        container, where = self._container(instance.id), f"docker logs {instance.name}"
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
        """Remove the files of sets that have no container left; images stay for the next rollback."""
        used = {c["Labels"].get(PROJECT) for c in self._listed()}
        for folder in self._folder.glob("*"):
            if folder.name not in used:
                shutil.rmtree(folder)

    @property
    def _client(self) -> DockerClient:
        return self._infrastructure.client

    def _those(self, **filters: Sequence[str]) -> list[ContainerInstance]:
        return sorted(_instance(c) for c in self._listed(**filters))

    def _listed(self, **filters: Sequence[str]) -> list[Mapping[str, Any]]:
        """This environment's services, in one answer of the engine (its API, GET /containers/json)."""
        labels = [f"{overlay.ENVIRONMENT}={self._infrastructure.environment.name}", overlay.SERVICE]
        with asking(self._infrastructure.engine):
            found: list[Mapping[str, Any]] = self._client.api.containers(
                all=True,
                filters={"label": labels, **{name: list(values) for name, values in filters.items()}},
            )
        return found

    def _container(self, identity: str) -> Container | None:
        """None when it is gone."""
        from docker.errors import NotFound

        with asking(self._infrastructure.engine):
            try:
                return self._client.containers.get(identity)
            except NotFound:
                return None

    def _is_well(self, instance: ContainerInstance) -> bool:
        """Run its health check once, as the engine does (its API, HealthConfig)."""
        from docker.errors import APIError

        with asking(instance.name):
            try:
                container = self._client.containers.get(instance.id)
                kind, *test = container.attrs["Config"]["Healthcheck"]["Test"]
                command = ["/bin/sh", "-c", *test] if kind == "CMD-SHELL" else test
                return container.exec_run(command).exit_code == 0
            except APIError as error:
                if error.status_code not in GONE:
                    raise
                return False

    def _remove(self, identity: str) -> None:
        container = self._container(identity)
        if container is not None:
            with asking(str(container.name)):
                container.remove(v=True, force=True)

    def _start(
        self, sections: Mapping[Placement, Mapping[str, Any]], start: Start
    ) -> list[ContainerInstance]:
        """One after another: each is laid over with a port of its own, which those before it are not given."""
        p, infrastructure = start.placement, self._infrastructure
        name = overlay.set_name(infrastructure.environment.name, p)
        image = reference(self._registry, p)
        section = sections[p]
        variables = self._configurations.variables(p.configuration, infrastructure.places())
        platform, laid_over = self._folder / name / "compose.yaml", self._folder / name / "overlay.yaml"
        durable.write(platform, overlay.platform_file(p.service, section))
        compose = Compose(infrastructure.engine, name, (platform, laid_over), variables)
        for never in self._of_set(name, status=NEVER_UP):
            self._remove(never["Id"])  # Compose would try to start them again
        before = {i.id for i in self.all()}
        for _ in start.numbers:
            new = NewInstance(p, image, section, variables, self._free_port())
            durable.write(laid_over, overlay.overlay(infrastructure.place, new))
            compose.add(p.service, count=len(self._of_set(name)) + 1)
        return [i for i in self.all() if i.id not in before]

    def _of_set(self, project: str, **filters: Sequence[str]) -> list[Mapping[str, Any]]:
        return [c for c in self._listed(**filters) if c["Labels"].get(PROJECT) == project]

    def _free_port(self) -> int:
        given = ports.given(self._infrastructure.folder.parent) | {i.port for i in self.all()}
        return ports.free_ports(1, avoid=given)[0]


def _instance(listed: Mapping[str, Any]) -> ContainerInstance:
    labels = listed["Labels"]
    return ContainerInstance(
        labels[overlay.SERVICE],
        labels[overlay.VERSION],
        int(labels[overlay.NUMBER]),
        labels[overlay.BUNDLE],
        labels[overlay.CONFIGURATION],
        listed["Names"][0].lstrip("/"),
        int(labels[overlay.PORT]),
        listed["Id"],
    )
