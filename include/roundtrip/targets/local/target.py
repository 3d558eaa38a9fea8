"""The local target's two verbs.

`converge`, in order, each step safe to repeat and each act under the fence:
  1. take the place of whoever acted before          5. start what is missing, wait until it is healthy
  2. infrastructure up                               6. routes and weights, as Traefik's API shows them
  3. bundles verified and unpacked                   7. retire what is not wanted: no traffic first, then stop
  4. feature flags                                   8. observe, and compare
A version that does not become healthy gets no traffic: steps 6 and 7 are not reached and what served still serves.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path

from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore, Manifest
from roundtrip.targets.local import routing
from roundtrip.targets.local.configuration import Configurations
from roundtrip.targets.local.fence import Fence
from roundtrip.targets.local.infrastructure import LocalInfrastructure, free_ports
from roundtrip.targets.local.instances import Instance, Instances
from roundtrip.targets.local.routing import Backend
from roundtrip.targets.protocol import Addresses, Progress, SecretsSource
from roundtrip.toolchain.programs import node

log = logging.getLogger(__name__)

HEALTHY_LIMIT_SECONDS = 60
POLL_SECONDS = 0.1


class LocalTarget:
    """One environment on this machine."""

    def __init__(self, environment: Environment, plan: Plan, home: Home, secrets: SecretsSource) -> None:
        self._plan = plan
        self._folder = home.environment(environment.name)
        self._environment = environment
        self._home = home
        self._secrets = secrets
        self.infrastructure = LocalInfrastructure(self._folder, environment, secrets)
        self._store = BundleStore(home.store)
        self._fence = Fence(self._folder)
        self._instances = Instances(self._folder, self.infrastructure.daemon)

    def observe(self) -> Deployment:
        """What runs, from supervisord, health answers, Traefik's API and the flags file."""
        weights = {(b.service, b.version): b.weight_percent for b in routing.read(self._api())}
        groups: dict[tuple[str, str, str, str], int] = {}
        for i in self._instances.healthy():
            key = (i.service, i.version, i.bundle, i.configuration)
            groups[key] = groups.get(key, 0) + 1
        placements = [
            Placement(service, version, count, bundle, configuration, weights.get((service, version), 0))
            for (service, version, bundle, configuration), count in groups.items()
        ]
        try:
            return Deployment(tuple(placements), self._flags())
        except ValueError as error:
            raise TargetError(
                f"what runs is between two deployments: {error}",
                where=self._environment.name,
                remedy="converge again; an interrupted one is finished by the next",
            ) from error

    def converge(self, desired: Deployment, token: int, progress: Progress = lambda _: None) -> Deployment:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._fence.hold(token):
            progress(f"{self._environment.name}: acting for token {token}")
        if not self.infrastructure.is_up():
            with self._fence.hold(token):
                self.infrastructure.up()
        folders = {p.bundle: self._unpack(p.bundle) for p in desired.placements}
        with self._fence.hold(token):
            self._write_flags(desired.flags)
        wanted = self._start_missing(desired, token, folders, progress)
        self._wait_healthy(wanted, progress)
        with self._fence.hold(token):
            self._route(desired, wanted)
            self._write_scrape_file(wanted)
        progress(
            "traffic: "
            + ", ".join(f"{p.service} {p.version} {p.weight_percent} %" for p in desired.placements)
        )
        self._retire(wanted, token, progress)
        return self._compare(desired)

    def addresses(self) -> Addresses:
        return self.infrastructure.addresses()

    def redis_url(self) -> str:
        return self.infrastructure.redis_url()

    def configurations(self, version: str) -> Mapping[str, str]:
        return self._configurations().digests(version)

    def _configurations(self) -> Configurations:
        places = {**self.infrastructure.places()}
        return Configurations(
            self._folder / "configurations", self._plan, self._environment, self._secrets, places
        )

    def _api(self) -> str:
        return f"http://127.0.0.1:{self.infrastructure.ports().proxy}"

    def _unpack(self, bundle: str) -> Path:
        return self._store.open(bundle, self._folder / "bundles" / bundle.removeprefix("sha256:"))

    def _flags(self) -> dict[str, bool]:
        try:
            flags: dict[str, bool] = json.loads((self._folder / "flags.json").read_text(encoding="utf-8"))[
                "flags"
            ]
        except FileNotFoundError:
            return {}
        return flags

    def _write_flags(self, flags: Mapping[str, bool]) -> None:
        self._write_json(self._folder / "flags.json", {"flags": dict(flags)})

    def _start_missing(
        self, desired: Deployment, token: int, folders: Mapping[str, Path], progress: Progress
    ) -> list[Instance]:
        """All instances of `desired`: those that are there, and new ones for those that are not."""
        wanted: list[Instance] = []
        for p in desired.placements:
            of = [i for i in self._instances.all() if (i.service, i.version) == (p.service, p.version)]
            kept = [i for i in of if i.runs(p.bundle, p.configuration)][: p.replicas]
            taken = {i.number for i in of}
            numbers = [n for n in range(1, p.replicas + len(taken) + 1) if n not in taken]
            fresh = [self._plan_instance(p, n, folders[p.bundle]) for n in numbers[: p.replicas - len(kept)]]
            for instance in [*kept, *fresh]:
                with self._fence.hold(token):
                    self._start(instance, folders[p.bundle])
            if fresh:
                progress(f"started {len(fresh)} × {p.service} {p.version}")
            wanted += [*kept, *fresh]
        return wanted

    def _plan_instance(self, p: Placement, number: int, folder: Path) -> Instance:
        manifest = Manifest.read(folder)
        if (manifest.service, manifest.version) != (p.service, p.version):
            raise TargetError(
                f"the bundle is {manifest.service} {manifest.version}, expected {p.service} {p.version}",
                where=p.bundle,
                remedy="deploy the bundle of this version",
            )
        port = free_ports(1)[0]
        return Instance(
            p.service, p.version, number, p.bundle, p.configuration, port, manifest.health, manifest.metrics
        )

    def _start(self, instance: Instance, folder: Path) -> None:
        manifest = Manifest.read(folder)
        interpreter = ""
        if manifest.toolchain == "node":
            interpreter = str(node(self._home.cache, self._plan.checklist.node_major, log.info).program)
        configuration = self._configurations().file(instance.configuration)
        self._instances.start(instance, folder, manifest, configuration, interpreter)

    def _wait_healthy(self, wanted: list[Instance], progress: Progress) -> None:
        deadline = time.monotonic() + HEALTHY_LIMIT_SECONDS
        while missing := sorted(set(wanted) - set(self._instances.healthy())):
            if time.monotonic() > deadline:
                first = missing[0]
                raise TargetError(
                    f"{', '.join(i.name for i in missing)} did not become healthy within {HEALTHY_LIMIT_SECONDS} s: "
                    f"{_tail(self._instances.logs(first))}",
                    where=self._environment.name,
                    remedy=f"see {self._instances.logs(first)}; what served before still serves",
                )
            time.sleep(POLL_SECONDS)
        progress(f"{len(wanted)} instances are healthy")

    def _route(self, desired: Deployment, wanted: list[Instance]) -> None:
        backends = [
            Backend(
                p.service,
                p.version,
                p.weight_percent,
                tuple(i.url for i in wanted if (i.service, i.version) == (p.service, p.version)),
            )
            for p in desired.placements
        ]
        routing.apply(self.infrastructure.dynamic_file(), self._api(), self._plan, backends)

    def _retire(self, wanted: list[Instance], token: int, progress: Progress) -> None:
        # No route leads to these any more; each finishes what it has in hand when it is told to end.
        for instance in sorted(set(self._instances.all()) - set(wanted)):
            with self._fence.hold(token):
                self._instances.stop(instance)
            progress(f"stopped {instance.name}")

    def _write_scrape_file(self, wanted: list[Instance]) -> None:
        groups = [
            {
                "targets": [f"127.0.0.1:{i.port}"],
                "labels": {
                    "service": i.service,
                    "version": i.version,
                    "instance": i.name,
                    "__metrics_path__": i.metrics or "",
                },
            }
            for i in wanted
        ]
        self._write_json(self.addresses().scrape_file, groups)

    def _compare(self, desired: Deployment) -> Deployment:
        observed = self.observe()
        if observed != desired:
            raise TargetError(
                f"expected {desired.to_json()}, observed {observed.to_json()}",
                where=self._environment.name,
                remedy="an instance may have ended meanwhile; converge again",
            )
        return observed

    @staticmethod
    def _write_json(path: Path, data: object) -> None:
        beside = path.with_name(path.name + ".new")
        beside.write_text(json.dumps(data, sort_keys=True, indent=1), encoding="utf-8")
        beside.rename(path)


def _tail(log: Path, *, lines: int = 5) -> str:
    try:
        return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "no log"
