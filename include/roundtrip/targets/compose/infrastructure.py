"""What an environment stands on: a network, Traefik and Redis, as containers of one Compose project, and the watchdog beside.

Rules:
1. `up` may be called at any time; it starts what is missing and changes nothing else. Instances that ran before a power
   cut are started again by the engine, and those that `down` has stopped by `up`.
2. `revive` brings up what was up before, without asking for a secret: a gate that pulls traffic has none. What somebody has
   removed is made again, as it was written down by the last `up`; the data is in the folder.
3. Redis syncs every write, and accepts every password it was ever given, so that a rollback may go back to the
   configuration of before a rotation.
4. The watchdog is a process, not a container: it needs no image, and has the engine's socket as whoever releases has. So is
   the stand-in for GitHub, at the gateway of the environment's network: the one address that browser and service both reach.
5. What is published is on loopback only. Secrets are in files that only their owner reads, never in an argument list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roundtrip import durable
from roundtrip.errors import HostError, TargetError
from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.targets.answering import redis_answers
from roundtrip.targets.compose.engine import asking, connect
from roundtrip.targets.compose.overlay import ENVIRONMENT, INSIDE_HOST, MOUNTED, Place, slug
from roundtrip.targets.compose.program import Compose
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from roundtrip.targets.ports import Ports, choose_ports
from roundtrip.targets.protocol import Addresses, SecretsSource
from roundtrip.targets.servers import (
    configured,
    redis_configuration,
    traefik_configuration,
)

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

READY_LIMIT_SECONDS = 30
STOP_SECONDS = 10
DOWN = ("exited", "created")
"""states of a container that its engine does not start by itself"""
LAST_LINES = 5
INSIDE = {"front": 8000, "internal": 8001, "traefik": 8002}
"""ports of Traefik's container"""
FLAGS_FOLDER_MODE = 0o755
"""Services in containers are other users than we; the folder around it keeps everybody else out."""
REDIS_PORT = 6379


class ComposeInfrastructure(LoopbackInfrastructure):
    """The infrastructure of one environment; its files are in `folder`."""

    def __init__(
        self, folder: Path, environment: Environment, settings: ComposeTargetSettings, secrets: SecretsSource
    ) -> None:
        super().__init__(folder, environment, secrets)
        self.engine = settings.engine
        self._settings = settings

    @property
    def name(self) -> str:
        return slug(self.environment.name)

    @property
    def proxy(self) -> str:
        """Traefik's container."""
        return f"{self.name}-traefik"

    @property
    def redis(self) -> str:
        """Redis' container."""
        return f"{self.name}-redis"

    @property
    def flags_file(self) -> Path:
        """In a folder of its own, which every instance sees."""
        return self.folder / "flags" / "flags.json"

    @property
    def place(self) -> Place:
        return Place(self.environment.name, str(self.flags_file.parent), self.name)

    def up(self) -> Addresses:
        """Start what is missing and wait until it answers. Raises HostError, TargetError, SecretError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.flags_file.parent.mkdir(exist_ok=True)
        self.flags_file.parent.chmod(FLAGS_FOLDER_MODE)
        with self._alone():
            password = self._redis_password()
            ports = choose_ports(self.folder / "ports.json", is_running=self._is_running())
            durable.write_json(self._file, self._project(ports, self._configure(password)))
            self._servers().up()
            self._start_stopped()
            self._start_daemon()
            self.daemon.put(self._watchdog())
            if self._needs_github():
                durable.write_json(self.folder / "places.json", self.places())
                self.daemon.put(self._github(self._gateway(), ports.github))
            self._wait(
                {**self._answering(ports), "redis": lambda: redis_answers(ports.redis, password)},
                limit_seconds=READY_LIMIT_SECONDS,
            )
        return self.addresses()

    def revive(self) -> None:
        """Have what was up before up again, as it was. Raises HostError, TargetError when it never was."""
        ports = self.ports()
        if not self.daemon.is_running():
            with self._alone():
                self._start_daemon()
        if self._servers_are_missing():
            with self._alone():
                self._servers().up()
            self._wait(self._answering(ports), limit_seconds=READY_LIMIT_SECONDS)

    def down(self) -> None:
        """Stop every container of the environment; they stay, and so does its data."""
        if not self.folder.exists():
            return
        with self._alone(), asking(self.engine):
            self._end_daemon()
            for container in self._containers():
                container.stop(timeout=STOP_SECONDS)

    def remove(self) -> None:
        """Remove every container and the network; data and configurations stay in the folder."""
        with self._alone(), asking(self.engine):
            self._end_daemon()
            for container in self._containers():
                container.remove(force=True, v=True)
            for network in self.client.networks.list(names=[f"^{self.name}$"]):
                network.remove()

    def is_up(self) -> bool:
        return (self.folder / "ports.json").exists() and self._is_running()

    def places(self) -> dict[str, str]:
        """What `{name}` in the environment's configuration stands for, as a container sees it."""
        return {
            "front_door": self.addresses().front_door,
            "internal": f"http://{self.proxy}:{INSIDE['internal']}",
            "redis_host": self.redis,
            "redis_port": str(REDIS_PORT),
            "github": f"http://{self._gateway()}:{self.ports().github}",
        }

    def _gateway(self) -> str:
        """Where containers reach a process of this machine, and it reaches itself. Raises HostError, TargetError."""
        with asking(self.engine):
            found = self.client.networks.list(names=[f"^{self.name}$"])
        given = [one["Gateway"] for network in found for one in network.attrs["IPAM"]["Config"] or ()]
        if not given:
            raise TargetError(
                f"its network {self.name} has no gateway",
                where=self.environment.name,
                remedy="./roundtrip up makes it",
            )
        return str(given[0])

    @cached_property
    def client(self) -> DockerClient:
        return connect(self.engine)

    def _containers(self) -> list[Container]:
        found: list[Container] = self.client.containers.list(
            all=True, filters={"label": f"{ENVIRONMENT}={self.environment.name}"}, ignore_removed=True
        )
        return found

    def _is_running(self) -> bool:
        with asking(self.engine):
            return any(c.name == self.proxy and c.status == "running" for c in self._containers())

    @property
    def _file(self) -> Path:
        return self.folder / "infrastructure.yaml"

    def _servers(self) -> Compose:
        """Traefik, Redis and the network."""
        return Compose(self.engine, self.name, (self._file,), {})

    def _servers_are_missing(self) -> bool:
        with asking(self.engine):
            up = {c.name for c in self._containers() if c.status not in DOWN}
        return not {self.proxy, self.redis} <= up

    def _start_stopped(self) -> None:
        with asking(self.engine):
            for container in self._containers():
                if container.status in DOWN:
                    container.start()

    def _configure(self, password: str) -> Mapping[str, Mapping[str, str]]:
        """Traefik's and Redis' own files written; labels that differ when a file differs, so that Compose replaces it."""
        routes = self.dynamic_file().parent
        routes.mkdir(parents=True, exist_ok=True, mode=0o700)
        entry_points = {name: f"{INSIDE_HOST}:{port}" for name, port in INSIDE.items()}
        traefik = traefik_configuration(entry_points, f"{MOUNTED}/dynamic")
        file = self.folder / "redis" / "redis.conf"
        file.parent.mkdir(exist_ok=True, mode=0o700)
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        redis = redis_configuration(INSIDE_HOST, REDIS_PORT, MOUNTED, password, before)
        return {
            "traefik": configured(self.folder / "traefik" / "traefik.yaml", traefik),
            "redis": configured(file, redis),
        }

    def _project(self, ports: Ports, written: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """The Compose file of the infrastructure."""

        def service(
            name: str, image: str, command: list[str], published: Mapping[int, int]
        ) -> dict[str, Any]:
            mounted = {"type": "bind", "source": str(self.folder / name), "target": MOUNTED}
            return {
                "image": image,
                "container_name": f"{self.name}-{name}",
                "command": command,
                "entrypoint": [],
                "user": f"{os.getuid()}:{os.getgid()}",
                "restart": "unless-stopped",
                "labels": {ENVIRONMENT: self.environment.name, **written[name]},
                "ports": [f"127.0.0.1:{outside}:{inside}" for inside, outside in published.items()],
                "volumes": [mounted],
                "networks": ["environment"],
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges:true"],
            }

        outside = {"front": ports.front_door, "internal": ports.internal, "traefik": ports.proxy}
        published = {INSIDE[name]: port for name, port in outside.items()}
        traefik = ["traefik", f"--configfile={MOUNTED}/traefik.yaml"]
        redis = ["redis-server", f"{MOUNTED}/redis.conf"]
        return {
            "services": {
                "traefik": service("traefik", self._settings.traefik_image, traefik, published),
                "redis": service("redis", self._settings.redis_image, redis, {REDIS_PORT: ports.redis}),
            },
            "networks": {"environment": {"name": self.name}},
        }

    def _no_answer(self, name: str, seconds: float) -> HostError:
        return HostError(
            f"{name} did not answer within {seconds:g} s: {self._last_words(name)}",
            where=self.environment.name,
            remedy=f"see docker logs {self.name}-{name}",
        )

    def _last_words(self, name: str) -> str:
        with asking(self.engine):
            found = [c for c in self._containers() if c.name == f"{self.name}-{name}"]
            said = b"".join(c.logs(tail=LAST_LINES) for c in found)
        return " | ".join(said.decode(errors="replace").splitlines()) or "it said nothing"
