"""Converge: from what runs to what is desired, in nine steps.

Each step may be repeated, and each act is done under the fence; so whoever is killed at any line and starts again ends
in the same place, and whoever is overtaken stops at its next act or look.
  1. take the place of whoever acted before      6. wait until all of it is healthy
  2. bring up what it stands on                  7. route, and wait until the proxy serves it
  3. plan; verify and unpack what is to start    8. retire: drained by the proxy, then told to end
  4. switch off the flags that shall be off      9. switch on the flags that shall be on, observe, compare
  5. start what is missing
Step 6 waits in full for what has no traffic yet. What serves already, and only does not answer its health path in time,
is not waited for: it may be starved by the very version that is being taken back, and would keep it there.
A bundle or configuration that is not right stops it before anything is touched. A version that does not become healthy
gets no traffic, and what was started for it is ended again: what served before still serves.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.model import Plan
from roundtrip.targets.bundles import BundleStore, Manifest
from roundtrip.targets.local import draining, ports, routing
from roundtrip.targets.local.configuration import Configurations
from roundtrip.targets.local.fence import Fence
from roundtrip.targets.local.flags import Flags
from roundtrip.targets.local.infrastructure import LocalInfrastructure
from roundtrip.targets.local.instances import Instance, Instances, Unpacked
from roundtrip.targets.local.planning import Start, Steps, plan_steps
from roundtrip.targets.local.routing import Backend
from roundtrip.targets.protocol import Progress

END_LIMIT_SECONDS = 20
"""for a process that was told to end; supervisord kills it after its own 10 s"""
SERVING_PATIENCE_SECONDS = 3
"""for an instance that serves already and does not answer its health path"""
SETTLE_LIMIT_SECONDS = 10
"""for an instance that ended by itself meanwhile to be back"""
POLL_SECONDS = 0.1
LEFT_BEHIND_SECONDS = 3600
"""for what a killed converge was unpacking: an older one may still be at it"""
WARM_SECONDS = 24 * 3600
"""for an unpacked bundle that nothing runs any more: a rollback within a day need not unpack it again"""


@dataclass(frozen=True)
class Parts:
    """What a converge works with; all of one environment."""

    name: str
    folder: Path
    plan: Plan
    infrastructure: LocalInfrastructure
    store: BundleStore
    fence: Fence
    instances: Instances
    configurations: Configurations
    flags: Flags
    interpreters: Callable[[str], dict[str, str]]
    """what {python} and {node} stand for, by toolchain"""
    observe: Callable[[], Deployment]
    healthy_limit_seconds: float


class Converge:
    """One converge of one environment, for one token."""

    def __init__(self, parts: Parts, desired: Deployment, token: int, progress: Progress) -> None:
        self._parts = parts
        self._desired = desired
        self._token = token
        self._say = progress

    def run(self) -> Deployment:
        """The nine steps; what was observed at the end. Raises StaleTokenError, ArtefactError, TargetError."""
        self._take_the_place()
        self._parts.infrastructure.revive()
        steps = plan_steps(self._parts.instances.all(), self._desired, self._parts.instances.lost())
        unpacked = self._verify_and_unpack(steps.start)
        self._switch_flags(self._parts.flags.without_new(self._desired.flags))
        wanted = [*steps.keep, *self._start(steps, unpacked)]
        self._wait_until_healthy(wanted)
        self._route(wanted)
        self._retire(steps.retire)
        self._switch_flags(self._desired.flags)
        return self._compare(wanted)

    def _take_the_place(self) -> None:
        self._parts.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._parts.fence.hold(self._token):
            pass
        self._say(f"{self._parts.name}: acting for token {self._token}")

    def _verify_and_unpack(self, start: Sequence[Start]) -> Mapping[str, Unpacked]:
        """The bundles to be started by digest, each verified; that their configurations are kept here, too."""
        unpacked: dict[str, Unpacked] = {}
        for p in sorted({s.placement for s in start}):
            self._parts.configurations.file(p.configuration)
            digits = p.bundle.removeprefix("sha256:")
            folder = self._parts.store.open(p.bundle, self._parts.folder / "bundles" / digits)
            manifest = Manifest.read(folder)
            if (manifest.service, manifest.version) != (p.service, p.version):
                raise TargetError(
                    f"the bundle is {manifest.service} {manifest.version}, expected {p.service} {p.version}",
                    where=p.bundle,
                    remedy="deploy the bundle of this version",
                )
            unpacked[p.bundle] = Unpacked(folder, manifest, self._parts.interpreters(manifest.toolchain))
        return unpacked

    def _switch_flags(self, flags: Mapping[str, bool]) -> None:
        with self._parts.fence.hold(self._token):
            self._parts.flags.write(flags)

    def _start(self, steps: Steps, unpacked: Mapping[str, Unpacked]) -> list[Instance]:
        """The new instances, started; those that are kept are ensured to run."""
        for instance in steps.keep:
            with self._parts.fence.hold(self._token):
                self._parts.instances.ensure(instance)
        fresh: list[Instance] = []
        taken = ports.given(self._parts.folder.parent)
        for start in steps.start:
            bundle = unpacked[start.placement.bundle]
            instance = _instance(start, bundle.manifest, ports.free_ports(1, avoid=taken)[0])
            taken.add(instance.port)
            with self._parts.fence.hold(self._token):
                file = self._parts.configurations.file(instance.configuration)
                self._parts.instances.start(instance, bundle, file)
            fresh.append(instance)
            self._say(f"started {instance.name}")
        return fresh

    def _wait_until_healthy(self, wanted: Sequence[Instance]) -> None:
        serving, began = self._serving(), time.monotonic()
        missing = set(wanted)
        while missing := missing - set(self._parts.instances.healthy(missing)):
            self._obey()
            spent = time.monotonic() - began
            if missing <= serving and spent > SERVING_PATIENCE_SECONDS:
                names = ", ".join(i.name for i in sorted(missing))
                self._say(f"{names}: serving, but without an answer to the health path; going on")
                return
            if spent > self._parts.healthy_limit_seconds:
                self._give_up(wanted, sorted(missing))
            # One that a converge before this had already told to end is not started again by itself.
            for instance in self._parts.instances.idle(missing):
                with self._parts.fence.hold(self._token):
                    self._parts.instances.ensure(instance)
            time.sleep(POLL_SECONDS)
        self._say(f"{len(wanted)} instances are healthy")

    def _serving(self) -> set[Instance]:
        """Those that run and have traffic."""
        routed = {
            url
            for backend in routing.read(self._parts.infrastructure.api())
            if backend.weight_percent
            for url in backend.urls
        }
        return {i for i in self._parts.instances.running() if i.url in routed}

    def _give_up(self, wanted: Sequence[Instance], missing: Sequence[Instance]) -> None:
        """End what has no traffic: a new worker that is sick would go on taking work from the queue."""
        log = self._parts.instances.logs(missing[0])
        tail = _tail(log)
        routed = {url for backend in routing.read(self._parts.infrastructure.api()) for url in backend.urls}
        self._end([i for i in wanted if i.url not in routed])
        raise TargetError(
            f"{', '.join(i.name for i in missing)} did not become healthy within "
            f"{self._parts.healthy_limit_seconds:g} s: {tail}",
            where=self._parts.name,
            remedy=f"see {log}; what served before still serves",
        )

    def _route(self, wanted: Sequence[Instance]) -> None:
        backends = [
            Backend(p.service, p.version, p.weight_percent, tuple(i.url for i in wanted if _is_of(i, p)))
            for p in self._desired.placements
        ]
        with self._parts.fence.hold(self._token):
            routing.write(self._parts.infrastructure.dynamic_file(), self._parts.plan, backends)
            durable.write_json(self._parts.infrastructure.addresses().scrape_file, _scrape_groups(wanted))
        routing.wait_until_served(self._parts.infrastructure.api(), backends, self._obey)
        shares = (f"{p.service} {p.version} {p.weight_percent} %" for p in self._desired.placements)
        self._say("traffic: " + ", ".join(shares))

    def _retire(self, surplus: Sequence[Instance]) -> None:
        """No route leads to these any more; none is told to end while the proxy still has a request there."""
        if surplus:
            proxy = self._parts.infrastructure.daemon

            def proxy_pid() -> int:
                return proxy.processes()["traefik"].pid

            if not draining.wait_until_quiet(proxy_pid, {i.port for i in surplus}, self._obey):
                self._say(
                    f"requests are still open after {draining.LIMIT_SECONDS:g} s; they are ended with their process"
                )
            self._end(surplus)
        with self._parts.fence.hold(self._token):
            _tidy(self._parts.folder / "bundles", {i.bundle for i in self._parts.instances.all()})

    def _end(self, surplus: Sequence[Instance]) -> None:
        """All at once, since each may take its time to finish what it has in hand."""
        for instance in surplus:
            with self._parts.fence.hold(self._token):
                self._parts.instances.begin_stop(instance)
        deadline = time.monotonic() + END_LIMIT_SECONDS
        while running := set(surplus) - set(self._parts.instances.idle(surplus)):
            self._obey()
            if time.monotonic() > deadline:
                names = ", ".join(i.name for i in sorted(running))
                raise TargetError(
                    f"{names} did not end within {END_LIMIT_SECONDS} s",
                    where=self._parts.name,
                    remedy="look at what the process waits for, then converge again",
                )
            time.sleep(POLL_SECONDS)
        for instance in surplus:
            with self._parts.fence.hold(self._token):
                self._parts.instances.forget(instance)
            self._say(f"stopped {instance.name}")

    def _compare(self, wanted: Sequence[Instance]) -> Deployment:
        deadline = time.monotonic() + SETTLE_LIMIT_SECONDS
        while True:
            observed, present = self._parts.observe(), self._parts.instances.all()
            if observed == self._desired and present == sorted(wanted):
                return observed
            self._obey()
            if time.monotonic() > deadline:
                raise TargetError(
                    f"expected {self._desired.to_json()}, observed {observed.to_json()} "
                    f"by {', '.join(i.name for i in present)}",
                    where=self._parts.name,
                    remedy="an instance may have ended meanwhile; converge again",
                )
            time.sleep(POLL_SECONDS)

    def _obey(self) -> None:
        self._parts.fence.obey(self._token)


def _instance(start: Start, manifest: Manifest, port: int) -> Instance:
    p = start.placement
    return Instance(
        p.service,
        p.version,
        start.number,
        p.bundle,
        p.configuration,
        port,
        manifest.health,
        manifest.metrics,
    )


def _is_of(instance: Instance, p: Placement) -> bool:
    return (instance.service, instance.version) == (p.service, p.version)


def _scrape_groups(wanted: Sequence[Instance]) -> list[dict[str, object]]:
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
        for i in sorted(wanted)
    ]


def _tidy(bundles: Path, used: Collection[str]) -> None:
    """Remove unpacked bundles that nothing ran lately, and what a killed converge was unpacking; the store has them all."""
    names = {digest.removeprefix("sha256:") for digest in used}
    for folder in bundles.glob("*"):
        if folder.name in names:
            os.utime(folder)  # when it was last in use
            continue
        limit = LEFT_BEHIND_SECONDS if folder.name.startswith(".") else WARM_SECONDS
        if time.time() - folder.stat().st_mtime > limit:
            shutil.rmtree(folder)


def _tail(log: Path, *, lines: int = 5) -> str:
    try:
        return " | ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
    except OSError:
        return "no log"
