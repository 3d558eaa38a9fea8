"""Instances: one supervised process each, with a manifest that says what it runs.

Rules:
1. The manifest is written before the process is started, and removed after it has ended: what runs has a manifest.
2. An instance counts only while its process runs and it answers its health path.
3. What an instance runs never changes; another bundle or configuration is another instance.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from roundtrip.supervision.daemon import Daemon, Program
from roundtrip.targets.bundles import Manifest

HEALTH_LIMIT_SECONDS = 2.0


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

    def runs(self, bundle: str, configuration: str) -> bool:
        """Whether it runs just this."""
        return (self.bundle, self.configuration) == (bundle, configuration)


class Instances:
    """The instances of one environment, in `folder`."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self._manifests = folder / "instances"
        self._flags_file = folder / "flags.json"
        self._daemon = daemon

    def all(self) -> list[Instance]:
        """Every instance that has a manifest, sorted."""
        return sorted(
            Instance(**json.loads(path.read_text(encoding="utf-8")))
            for path in self._manifests.glob("*.json")
        )

    def healthy(self) -> list[Instance]:
        """Those whose process runs and that answer 200 on their health path."""
        processes = self._daemon.processes()
        running = [
            i
            for i in self.all()
            if i.name in processes and processes[i.name].state in ("RUNNING", "STARTING")
        ]
        with httpx.Client(timeout=HEALTH_LIMIT_SECONDS, trust_env=False) as client:
            return [i for i in running if _is_healthy(client, i)]

    def start(
        self, instance: Instance, folder: Path, manifest: Manifest, configuration: Path, node: str
    ) -> None:
        """Have the process of `instance` running from the unpacked bundle in `folder`."""
        self._manifests.mkdir(exist_ok=True, mode=0o700)
        path = self._manifests / f"{instance.name}.json"
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(instance), sort_keys=True), encoding="utf-8")
        beside.rename(path)
        self._daemon.put(self._program(instance, folder, manifest, configuration, node))

    def stop(self, instance: Instance) -> None:
        """End its process, gently first, and forget it."""
        self._daemon.remove(instance.name)
        (self._manifests / f"{instance.name}.json").unlink(missing_ok=True)

    def logs(self, instance: Instance) -> Path:
        return self._daemon.logs / f"{instance.name}.log"

    def _program(
        self, instance: Instance, folder: Path, manifest: Manifest, configuration: Path, node: str
    ) -> Program:
        interpreters: Mapping[str, str] = {"{python}": sys.executable, "{node}": node}
        argv = [interpreters.get(word, word) for word in manifest.run]
        include = Path(__file__).resolve().parents[3]
        return Program(
            instance.name,
            [sys.executable, "-m", "roundtrip.targets.local.launch", str(configuration), *argv],
            folder,
            {
                "HOST": "127.0.0.1",
                "PORT": str(instance.port),
                "FLAGS_FILE": str(self._flags_file),
                "PYTHONPATH": str(include),
                "SERVICE_PYTHONPATH": str(folder / "site") if manifest.toolchain == "python" else "",
            },
        )


def _is_healthy(client: httpx.Client, instance: Instance) -> bool:
    try:
        return client.get(instance.url + instance.health).status_code == 200
    except httpx.HTTPError:
        return False
