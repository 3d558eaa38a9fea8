"""Instances: one supervised process each, with a manifest that says what it runs.

Rules:
1. The manifest is written before the process is started, and removed after it has ended: what runs has a manifest.
2. An instance counts only while its process runs and it answers its health path.
3. What an instance runs never changes; another bundle or configuration is another instance, with a port of its own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.supervision.daemon import ENDED, Daemon, Program
from roundtrip.targets import draining, ports, records
from roundtrip.targets.bundles import Manifest
from roundtrip.targets.infrastructure import INCLUDE
from roundtrip.tls import trusted

HEALTH_LIMIT_SECONDS = 2.0
PROBES_AT_ONCE = 8
LAST_LINES = 5


@dataclass(frozen=True, order=True)
class Instance:
    """One process of a service."""

    service: str
    version: str
    number: int
    bundle: str
    configuration: str
    port: int
    health: str
    metrics: str | None

    @property
    def name(self) -> str:
        return f"{self.service}-{self.version}-{self.number}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True)
class Unpacked:
    """A verified bundle in its folder, ready to be run."""

    folder: Path
    manifest: Manifest
    interpreters: dict[str, str]
    """what {python} and {node} in its argument list stand for"""


class Instances:
    """The instances of one environment, in `folder`."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self._folder = folder
        self._manifests = folder / "instances"
        self._daemon = daemon

    def all(self) -> list[Instance]:
        """Every instance that has a manifest, sorted."""
        found = (self._read(path) for path in self._manifests.glob("*.json"))
        return sorted(instance for instance in found if instance is not None)

    def running(self) -> list[Instance]:
        """Those whose process is up and past its start, healthy or not."""
        processes = self._daemon.processes()
        return [i for i in self.all() if i.name in processes and processes[i.name].state == "RUNNING"]

    def healthy(self, among: Collection[Instance] | None = None) -> list[Instance]:
        """Those (of all, or of `among`) whose process runs and that answer 200 on their health path."""
        processes = self._daemon.processes()
        running = [
            i
            for i in (self.all() if among is None else sorted(among))
            if i.name in processes and processes[i.name].state in ("RUNNING", "STARTING")
        ]
        with (
            httpx.Client(timeout=HEALTH_LIMIT_SECONDS, trust_env=False, verify=trusted()) as client,
            ThreadPoolExecutor(PROBES_AT_ONCE) as probes,
        ):
            answers = probes.map(lambda i: _is_healthy(client, i), running)
            return [i for i, is_healthy in zip(running, answers, strict=True) if is_healthy]

    def lost(self) -> list[Instance]:
        """Those that cannot come up again: never given to supervisord, or another program has their port."""
        known, processes = set(self._daemon.known()), self._daemon.processes()

        def is_robbed(i: Instance) -> bool:
            process = processes.get(i.name)
            if process is not None and (process.state == "RUNNING" or listens(process.pid, i.port)):
                return False
            return not ports.is_free(i.port, again=True)

        return [i for i in self.all() if i.name not in known or is_robbed(i)]

    def idle(self, among: Collection[Instance]) -> list[Instance]:
        """Those of `among` that supervisord has stopped or given up, or has not loaded."""
        processes = self._daemon.processes()
        return [i for i in among if i.name not in processes or processes[i.name].state in ENDED]

    def start(self, instance: Instance, unpacked: Unpacked, configuration: Path) -> None:
        """Have the process of `instance` running."""
        self._manifests.mkdir(exist_ok=True, mode=0o700)
        durable.write_json(self._manifests / f"{instance.name}.json", asdict(instance))
        self._daemon.put(self._program(instance, unpacked, configuration))

    def ensure(self, instance: Instance) -> None:
        """Have an instance that was started before running."""
        self._daemon.ensure(instance.name)

    def begin_stop(self, instance: Instance) -> None:
        """Tell its process to end, gently first."""
        self._daemon.begin_stop(instance.name)

    def forget(self, instance: Instance) -> None:
        """Take an ended instance off the records."""
        self._daemon.remove(instance.name)
        (self._manifests / f"{instance.name}.json").unlink(missing_ok=True)

    def wait_until_quiet(self, instances: Collection[Instance], still: Callable[[], None]) -> bool:
        """Whether the proxy has no connection there any more; `still` may raise to end the wait."""

        def proxy() -> int:
            return self._daemon.processes()["traefik"].pid

        return draining.wait_until_quiet(
            lambda: draining.connections(proxy(), {i.port for i in instances}), still
        )

    def last_words(self, instance: Instance) -> tuple[str, str]:
        """Its log file, and the last lines of it."""
        log = self._daemon.logs / f"{instance.name}.log"
        try:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return str(log), "no log"
        return str(log), " | ".join(lines[-LAST_LINES:])

    def scraped(self, instances: Collection[Instance]) -> list[dict[str, object]]:
        """Prometheus' file_sd format."""
        return [
            {
                "targets": [f"127.0.0.1:{i.port}"],
                "labels": {
                    "service": i.service,
                    "version": i.version,
                    "instance": i.name,
                    "__metrics_path__": i.metrics or "",
                },
            }
            for i in sorted(instances)
        ]

    @staticmethod
    def _read(path: Path) -> Instance | None:
        """The instance of a manifest; None when it was retired meanwhile."""
        data: Any = records.read(path)
        if data is None:
            return None
        try:
            return Instance(**data)
        except TypeError as error:
            raise TargetError(
                f"is no manifest of an instance: {error}",
                where=str(path),
                remedy="end the process, remove the file, converge again",
            ) from error

    def _program(self, instance: Instance, unpacked: Unpacked, configuration: Path) -> Program:
        manifest = unpacked.manifest
        argv = [unpacked.interpreters.get(word, word) for word in manifest.run]
        is_python = manifest.toolchain == "python"
        return Program(
            instance.name,
            [
                sys.executable,
                "-m",
                "roundtrip.targets.local.launch",
                str(configuration),
                str(self._folder / "places.json"),
                *argv,
            ],
            unpacked.folder,
            {
                "HOST": "127.0.0.1",
                "PORT": str(instance.port),
                "FLAGS_FILE": str(self._folder / "flags.json"),
                "PYTHONPATH": str(INCLUDE),
                "SERVICE_PYTHONPATH": str(unpacked.folder / "site") if is_python else "",
            },
        )


def _is_healthy(client: httpx.Client, instance: Instance) -> bool:
    try:
        return client.get(instance.url + instance.health).status_code == 200
    except httpx.HTTPError:
        return False


def listens(pid: int, port: int) -> bool:
    """Whether the process, or one that it started, listens on this port."""
    try:
        process = psutil.Process(pid) if pid else None
        family = [process, *process.children(recursive=True)] if process else []
        found = [c for member in family for c in member.net_connections(kind="tcp")]
    except psutil.NoSuchProcess:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in found)
