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
It is the same for every kind of target; what an instance is, and what it stands on, is the kind's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.model import Plan
from roundtrip.targets import routing
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.planning import I, Instance, Start, Steps, plan_steps
from roundtrip.targets.protocol import Addresses, Progress
from roundtrip.targets.routing import Backend

END_LIMIT_SECONDS = 20
"""for an instance that was told to end; what supervises it kills it after its own 10 s"""
SERVING_PATIENCE_SECONDS = 3
"""for an instance that serves already and does not answer its health path"""
SETTLE_LIMIT_SECONDS = 10
"""for an instance that ended by itself meanwhile to be back"""
POLL_SECONDS = 0.1


class Ground(Protocol):
    """What an environment stands on."""

    def revive(self) -> None:
        """Have what was up before up again, without a secret. Raises HostError, TargetError when it never was."""

    def addresses(self) -> Addresses: ...

    def api(self) -> str:
        """Address of Traefik's API."""

    def dynamic_file(self) -> Path:
        """Traefik's routes."""


class Instances(Protocol[I]):
    """The instances of one environment. All but `prepare` may be called again at any time."""

    def prepare(self, placements: Collection[Placement]) -> Callable[[Start], list[I]]:
        """What starts instances of these placements, once each bundle was verified and its configuration found.

        Raises ArtefactError, TargetError before anything is started.
        """

    def all(self) -> list[I]:
        """Every instance that is known, sorted."""

    def running(self) -> list[I]:
        """Those that are up, healthy or not."""

    def healthy(self, among: Collection[I] | None = None) -> list[I]:
        """Those (of all, or of `among`) that are up and healthy, sorted."""

    def lost(self) -> list[I]:
        """Those that cannot come up again."""

    def idle(self, among: Collection[I]) -> list[I]:
        """Those of `among` that have ended, and are not being started again."""

    def ensure(self, instance: I) -> None:
        """Have an instance that was started before running."""

    def begin_stop(self, instance: I) -> None:
        """Tell it to end, gently first."""

    def forget(self, instance: I) -> None:
        """Take an ended instance off the records."""

    def wait_until_quiet(self, instances: Collection[I], still: Callable[[], None]) -> bool:
        """Wait until the proxy has no request open there any more; False when its limit was reached first.

        `still` is called at each look and may raise to end the wait.
        """

    def last_words(self, instance: I) -> tuple[str, str]:
        """Where its log is, and the end of it."""

    def scraped(self, instances: Collection[I]) -> list[dict[str, object]]:
        """Where their metrics are, in Prometheus' file_sd format."""

    def tidy(self) -> None:
        """Remove what was prepared and is of no more use."""


@dataclass(frozen=True)
class Parts(Generic[I]):
    """What a converge works with; all of one environment."""

    name: str
    folder: Path
    plan: Plan
    ground: Ground
    fence: Fence
    instances: Instances[I]
    flags: Flags
    observe: Callable[[], Deployment]
    healthy_limit_seconds: float


class Converge(Generic[I]):
    """One converge of one environment, for one token."""

    def __init__(self, parts: Parts[I], desired: Deployment, token: int, progress: Progress) -> None:
        self._parts = parts
        self._desired = desired
        self._token = token
        self._say = progress

    def run(self) -> Deployment:
        """The nine steps; what was observed at the end. Raises StaleTokenError, ArtefactError, TargetError."""
        self._take_the_place()
        self._parts.ground.revive()
        steps = plan_steps(self._parts.instances.all(), self._desired, self._parts.instances.lost())
        start = self._parts.instances.prepare({s.placement for s in steps.start})
        self._switch_flags(self._parts.flags.without_new(self._desired.flags))
        wanted = [*steps.keep, *self._start(steps, start)]
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

    def _switch_flags(self, flags: Mapping[str, bool]) -> None:
        with self._parts.fence.hold(self._token):
            self._parts.flags.write(flags)

    def _start(self, steps: Steps[I], starting: Callable[[Start], list[I]]) -> list[I]:
        """The new instances, started; those that are kept are ensured to run."""
        for instance in steps.keep:
            with self._parts.fence.hold(self._token):
                self._parts.instances.ensure(instance)
        fresh: list[I] = []
        for start in steps.start:
            with self._parts.fence.hold(self._token):
                started = starting(start)
            fresh += started
            for instance in started:
                self._say(f"started {instance.name}")
        return fresh

    def _wait_until_healthy(self, wanted: Sequence[I]) -> None:
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

    def _serving(self) -> set[I]:
        """Those that run and have traffic."""
        routed = {
            url
            for backend in routing.read(self._parts.ground.api())
            if backend.weight_percent
            for url in backend.urls
        }
        return {i for i in self._parts.instances.running() if i.url in routed}

    def _give_up(self, wanted: Sequence[I], missing: Sequence[I]) -> None:
        """End what has no traffic: a new worker that is sick would go on taking work from the queue."""
        log, tail = self._parts.instances.last_words(missing[0])
        routed = {url for backend in routing.read(self._parts.ground.api()) for url in backend.urls}
        self._end([i for i in wanted if i.url not in routed])
        raise TargetError(
            f"{', '.join(i.name for i in missing)} did not become healthy within "
            f"{self._parts.healthy_limit_seconds:g} s: {tail}",
            where=self._parts.name,
            remedy=f"see {log}; what served before still serves",
        )

    def _route(self, wanted: Sequence[I]) -> None:
        backends = [
            Backend(p.service, p.version, p.weight_percent, tuple(i.url for i in wanted if _is_of(i, p)))
            for p in self._desired.placements
        ]
        with self._parts.fence.hold(self._token):
            routing.write(self._parts.ground.dynamic_file(), self._parts.plan, backends)
            durable.write_json(
                self._parts.ground.addresses().scrape_file, self._parts.instances.scraped(wanted)
            )
        routing.wait_until_served(self._parts.ground.api(), backends, self._obey)
        shares = (f"{p.service} {p.version} {p.weight_percent} %" for p in self._desired.placements)
        self._say("traffic: " + ", ".join(shares))

    def _retire(self, surplus: Sequence[I]) -> None:
        """No route leads to these any more; none is told to end while the proxy still has a request there."""
        if surplus:
            if not self._parts.instances.wait_until_quiet(surplus, self._obey):
                self._say("requests are still open at what retires; they end with it")
            self._end(surplus)
        with self._parts.fence.hold(self._token):
            self._parts.instances.tidy()

    def _end(self, surplus: Sequence[I]) -> None:
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

    def _compare(self, wanted: Sequence[I]) -> Deployment:
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


def _is_of(instance: Instance, p: Placement) -> bool:
    return (instance.service, instance.version) == (p.service, p.version)
