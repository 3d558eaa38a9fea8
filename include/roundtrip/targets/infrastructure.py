"""What every kind of environment stands on has in common: its ports of loopback, its Redis, who starts and ends it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from roundtrip.errors import HostError
from roundtrip.plan.environment import Environment
from roundtrip.targets.ports import Ports, read_ports
from roundtrip.targets.protocol import Addresses, SecretsSource
from roundtrip.targets.servers import redis_password

ALONE_LIMIT_SECONDS = 120
POLL_SECONDS = 0.05


class LoopbackInfrastructure:
    """The infrastructure of one environment, in `folder`."""

    def __init__(self, folder: Path, environment: Environment, secrets: SecretsSource) -> None:
        self.folder = folder
        self.environment = environment
        self._secrets = secrets

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

    def _no_answer(self, name: str, seconds: float) -> HostError:
        """What to say of a server that did not answer."""
        return HostError(f"{name} did not answer within {seconds:g} s", where=self.environment.name)
