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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Deployment, Placement
from roundtrip.plan.model import Plan
from roundtrip.targets import routing
from roundtrip.targets.fence import Fence
from roundtrip.targets.flags import Flags
from roundtrip.targets.infrastructure import LoopbackInfrastructure
from roundtrip.targets.instances import Instance, Instances, InstanceT, Start
from roundtrip.targets.observing import observed
from roundtrip.targets.planning import Steps, plan_steps
from roundtrip.targets.protocol import Progress
from roundtrip.targets.routes import Backend

END_LIMIT_SECONDS = 20
"""for an instance that was told to end; what supervises it kills it after its own time to end, 10 s by default"""
SERVING_PATIENCE_SECONDS = 3
"""for an instance that serves already and does not answer its health path"""
SETTLE_LIMIT_SECONDS = 10
"""for an instance that ended by itself meanwhile to be back"""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Parts(Generic[InstanceT]):
    """What a converge works with; all of one environment."""

    plan: Plan
    infrastructure: LoopbackInfrastructure
    fence: Fence
    instances: Instances[InstanceT]
    flags: Flags
    healthy_limit_seconds: float


def observe(parts: Parts[InstanceT]) -> Deployment:
    """What runs now. Raises TargetError, HostError."""
    return observed(parts.instances, parts.infrastructure, parts.flags)


class Converge(Generic[InstanceT]):
    """One converge of one environment, for one token."""

    def __init__(self, parts: Parts[InstanceT], desired: Deployment, token: int, progress: Progress) -> None:
        self._parts = parts
        self._environment = parts.infrastructure.environment.name
        self._desired = desired
        self._token = token
        self._say = progress

    def run(self) -> Deployment:
        """The nine steps; what was observed at the end. Raises StaleTokenError, ArtefactError, TargetError."""
        self._take_the_place()
        self._parts.infrastructure.revive()
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
        self._parts.infrastructure.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._parts.fence.hold(self._token):
            pass
        self._say(f"{self._environment}: acting for token {self._token}")

    def _switch_flags(self, flags: Mapping[str, bool]) -> None:
        with self._parts.fence.hold(self._token):
            self._parts.flags.write(flags)

    def _start(
        self, steps: Steps[InstanceT], starting: Callable[[Start], list[InstanceT]]
    ) -> list[InstanceT]:
        """The new instances, started; those that are kept are ensured to run."""
        for instance in steps.keep:
            with self._parts.fence.hold(self._token):
                self._parts.instances.ensure(instance)
        fresh: list[InstanceT] = []
        for start in steps.start:
            with self._parts.fence.hold(self._token):
                started = starting(start)
            fresh += started
            for instance in started:
                self._say(f"started {instance.name}")
        return fresh

    def _wait_until_healthy(self, wanted: Sequence[InstanceT]) -> None:
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

    def _serving(self) -> set[InstanceT]:
        """Those that run and have traffic."""
        routed = {
            url
            for backend in routing.read(self._parts.infrastructure.api())
            if backend.weight_percent
            for url in backend.urls
        }
        return {i for i in self._parts.instances.running() if i.url in routed}

    def _give_up(self, wanted: Sequence[InstanceT], missing: Sequence[InstanceT]) -> None:
        """End what has no traffic: a new worker that is sick would go on taking work from the queue."""
        log, tail = self._parts.instances.last_words(missing[0])
        routed = {url for backend in routing.read(self._parts.infrastructure.api()) for url in backend.urls}
        self._end([i for i in wanted if i.url not in routed])
        raise TargetError(
            f"{', '.join(i.name for i in missing)} did not become healthy within "
            f"{self._parts.healthy_limit_seconds:g} s: {tail}",
            where=self._environment,
            remedy=f"see {log}; what served before still serves",
        )

    def _route(self, wanted: Sequence[InstanceT]) -> None:
        backends = [
            Backend(p.service, p.version, p.weight_percent, tuple(i.url for i in wanted if _is_of(i, p)))
            for p in self._desired.placements
        ]
        with self._parts.fence.hold(self._token):
            routing.write(self._parts.infrastructure.dynamic_file(), self._parts.plan, backends)
            durable.write_json(
                self._parts.infrastructure.addresses().scrape_file, self._parts.instances.scraped(wanted)
            )
        routing.wait_until_served(self._parts.infrastructure.api(), backends, self._obey)
        shares = (f"{p.service} {p.version} {p.weight_percent} %" for p in self._desired.placements)
        self._say("traffic: " + ", ".join(shares))

    def _retire(self, surplus: Sequence[InstanceT]) -> None:
        """No route leads to these any more; none is told to end while the proxy still has a request there."""
        if surplus:
            if not self._parts.instances.wait_until_quiet(surplus, self._obey):
                self._say("requests are still open at what retires; they end with it")
            self._end(surplus)
        with self._parts.fence.hold(self._token):
            self._parts.instances.tidy()

    def _end(self, surplus: Sequence[InstanceT]) -> None:
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
                    where=self._environment,
                    remedy="look at what the process waits for, then converge again",
                )
            time.sleep(POLL_SECONDS)
        for instance in surplus:
            with self._parts.fence.hold(self._token):
                self._parts.instances.forget(instance)
            self._say(f"stopped {instance.name}")

    def _compare(self, wanted: Sequence[InstanceT]) -> Deployment:
        deadline = time.monotonic() + SETTLE_LIMIT_SECONDS
        while True:
            seen, present = observe(self._parts), self._parts.instances.all()
            if seen == self._desired and present == sorted(wanted):
                return seen
            self._obey()
            if time.monotonic() > deadline:
                raise TargetError(
                    f"expected {self._desired.to_json()}, observed {seen.to_json()} "
                    f"by {', '.join(i.name for i in present)}",
                    where=self._environment,
                    remedy="an instance may have ended meanwhile; converge again",
                )
            time.sleep(POLL_SECONDS)

    def _obey(self) -> None:
        self._parts.fence.obey(self._token)


def _is_of(instance: Instance, p: Placement) -> bool:
    return (instance.service, instance.version) == (p.service, p.version)
