"""What every kind of environment stands on has in common: its ports of loopback, its Redis, who starts and ends it, and a
supervisor of processes of ours beside it, the watchdog among them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from roundtrip.errors import HostError
from roundtrip.plan.environment import Environment
from roundtrip.supervision.daemon import Daemon, Program
from roundtrip.supervision.leftovers import end_leftovers, started_by
from roundtrip.targets.answering import answers, redis_answers
from roundtrip.targets.ports import Ports, read_ports
from roundtrip.targets.protocol import Addresses, SecretsSource
from roundtrip.targets.servers import configured, redis_password

INCLUDE = Path(__file__).resolve().parents[2]
"""where this package is imported from"""
ALONE_LIMIT_SECONDS = 120
POLL_SECONDS = 0.05
GITHUB = "{github}"


class LoopbackInfrastructure:
    """The infrastructure of one environment, in `folder`."""

    def __init__(self, folder: Path, environment: Environment, secrets: SecretsSource) -> None:
        self.folder = folder
        self.environment = environment
        self._secrets = secrets
        self.daemon = Daemon(folder / "supervisor")

    def up(self) -> Addresses:
        """Start what is missing and wait until it answers. Raises HostError, TargetError, SecretError."""
        raise NotImplementedError

    def down(self) -> None:
        """End all of it; its data stays."""
        raise NotImplementedError

    def is_up(self) -> bool:
        raise NotImplementedError

    def revive(self) -> None:
        """Have what was up before up again, without a secret. Raises HostError, TargetError when it never was."""
        raise NotImplementedError

    def ports(self) -> Ports:
        """The ports chosen by `up`. Raises TargetError when it was never up."""
        return read_ports(self.folder / "ports.json")

    def addresses(self) -> Addresses:
        ports = self.ports()
        return Addresses(
            front_door=f"http://127.0.0.1:{ports.front_door}",
            internal=f"http://127.0.0.1:{ports.internal}",
            proxy_metrics=f"{self.api()}/metrics",
            scrape_file=self.folder / "scrape.json",
        )

    def api(self) -> str:
        """Address of Traefik's API."""
        return f"http://127.0.0.1:{self.ports().proxy}"

    def places(self) -> dict[str, str]:
        """What `{name}` in the environment's configuration stands for: the kind's own."""
        raise NotImplementedError

    def redis_url(self) -> str:
        """Address and password of the environment's Redis."""
        return f"redis://:{self._redis_password()}@127.0.0.1:{self.ports().redis}/0"

    def dynamic_file(self) -> Path:
        """Traefik's routes; it sees a file that is renamed into this place at once."""
        return self.folder / "traefik" / "dynamic" / "routes.yaml"

    def _redis_password(self) -> str:
        return redis_password(self._secrets, self.environment.secrets_connection)

    def _watchdog(self) -> Program:
        """It has no secret, and looks after whatever release stands here."""
        command = [sys.executable, "-m", "roundtrip.watchdog", str(self.folder)]
        return Program("watchdog", command, self.folder, {"PYTHONPATH": str(INCLUDE)}, priority=4)

    def _needs_github(self) -> bool:
        return any(GITHUB in value for value in self.environment.configuration.values())

    def _github(self, host: str, port: int) -> Program:
        """The stand-in is a program of its own; its client id and secret come by a private file."""
        secrets = self._secrets(self.environment.secrets_connection)
        values = {
            name: {"text": "{value}", "secrets": {"value": secrets[name]}}
            for name in ("GITHUB_ID", "GITHUB_SECRET")
            if name in secrets
        }
        file = self.folder / "github.json"
        written = configured(file, json.dumps(values, sort_keys=True))
        launch = [sys.executable, "-m", "roundtrip.targets.local.launch"]
        files = [str(file), str(self.folder / "places.json")]
        stand_in = [sys.executable, "-m", "roundtrip.staging.github_stand_in"]
        stand_in += ["--host", host, "--port", str(port)]
        python = {"PYTHONPATH": str(INCLUDE), "SERVICE_PYTHONPATH": str(INCLUDE)}
        command = [*launch, *files, *stand_in]
        return Program("github-stand-in", command, self.folder, {**python, **written}, priority=3)

    def _start_daemon(self) -> None:
        """With all that it was given before."""
        if not self.daemon.is_running():
            end_leftovers([started_by(self.daemon.socket)], where=str(self.folder))
            self.daemon.start()

    def _end_daemon(self) -> None:
        """And every process that it has started, also where it is gone itself."""
        if self.daemon.is_running():
            self.daemon.stop()
        else:
            end_leftovers([started_by(self.daemon.socket)], where=str(self.folder))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Held while it is started or ended, so that two calls do not undo each other's work."""
        lock = FileLock(self.folder / "up.lock", timeout=ALONE_LIMIT_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise HostError(
                f"another one has been starting or ending it for {ALONE_LIMIT_SECONDS} s",
                where=self.environment.name,
                remedy="wait for it, then try again",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _wait(self, waiting: Mapping[str, Callable[[], bool]], *, limit_seconds: float) -> None:
        """Until each server is there, by name. Raises HostError."""
        deadline = time.monotonic() + limit_seconds
        for name, is_there in waiting.items():
            while not is_there():
                if time.monotonic() > deadline:
                    raise self._no_answer(name, limit_seconds)
                time.sleep(POLL_SECONDS)

    def _answering(self, ports: Ports) -> dict[str, Callable[[], bool]]:
        """How each server shows that it is there, without a secret."""
        asking: dict[str, Callable[[], bool]] = {
            "redis": lambda: redis_answers(ports.redis, None),
            "traefik": lambda: answers(f"{self.api()}/api/version"),
        }
        if self._needs_github():
            stand_in = self.places()["github"]
            asking["github-stand-in"] = lambda: answers(f"{stand_in}/")
        return asking

    def _no_answer(self, name: str, seconds: float) -> HostError:
        """What to say of a server that did not answer."""
        return HostError(f"{name} did not answer within {seconds:g} s", where=self.environment.name)
