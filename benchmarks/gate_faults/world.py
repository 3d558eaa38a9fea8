"""A world whose pages can be bent: two versions that serve requests as simulated time goes by.

The canary fails several times as often as is tolerated, and stable hardly ever, so a PASS is a false one. What both
counted before the gate is not the gate's, and nearly without errors: who counts it is led to a false PASS.
Each version is two processes. A page is the text that such a process would show, read by the code that reads real ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import ARMS, Arm
from roundtrip.gates.fold import RawScrape, Reading
from roundtrip.gates.page import Page
from roundtrip.gates.reading import missing_because
from roundtrip.gates.scrape import reading_of
from roundtrip.plan.model import Gate, Metric

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
METRIC = Metric(name="errors", kind="errors", source="services", service="api")
GATE = Gate(metrics=[METRIC], deadline_seconds=60, minimum_requests=50)
PROCESSES = {"canary": ("canary:1", "canary:2"), "stable": ("stable:1", "stable:2")}
BAD_RATE = {"canary": 0.2, "stable": 0.005}
MOST_SAMPLES = 400
"""More than the deadline allows many times over: a gate that goes on is taken for a crash."""

Bend = Callable[[str, str, int], str]
"""(process, text of its page, number of the sample) -> the text that is shown instead"""


class NeverEndsError(Exception):
    """The gate took more samples than its deadline allows."""


@dataclass
class Process:
    """What one process counts."""

    good: int
    bad: int
    started: float

    def page(self) -> str:
        return (
            f"# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {self.started}\n"
            "# TYPE http_requests_total counter\n"
            f'http_requests_total{{route="/a",code="200"}} {self.good}\n'
            f'http_requests_total{{route="/a",code="503"}} {self.bad}\n'
        )


@dataclass
class World:
    """Time, traffic and a source in one."""

    dice: random.Random
    bend: Bend = lambda _process, text, _number: text
    per_second: dict[str, int] = field(default_factory=lambda: {"canary": 10, "stable": 10})
    """requests of each process, by arm"""
    bad_rate: dict[str, float] = field(default_factory=lambda: dict(BAD_RATE))
    clock_step: Callable[[int], float] = lambda _number: 0.0
    """seconds by which the clock jumps before a sample"""
    now: datetime = NOON
    taken: int = 0

    def __post_init__(self) -> None:
        self.processes = {
            name: Process(1000, 1, NOON.timestamp() - 60) for names in PROCESSES.values() for name in names
        }

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds + self.clock_step(self.taken))
        for arm, names in PROCESSES.items():
            for name in names:
                requests = self.per_second[arm]
                bad = sum(self.dice.random() < self.bad_rate[arm] for _ in range(requests))
                self.processes[name].good += requests - bad
                self.processes[name].bad += bad

    def restart(self, name: str) -> None:
        """The process begins anew, with nothing counted."""
        self.processes[name] = Process(0, 0, self.now.timestamp())

    async def read(self, at: datetime) -> RawScrape:
        """As a source reads: what cannot be read is missing."""
        self.taken += 1
        if self.taken > MOST_SAMPLES:
            raise NeverEndsError(f"{self.taken} samples and no verdict")
        readings: list[Reading] = []
        missing: dict[str, str] = {}
        for arm in ARMS:
            try:
                readings += [self._reading(arm, name, at) for name in PROCESSES[arm]]
            except EvidenceError as error:
                missing[f"{arm}/errors"] = missing_because(error)
        return RawScrape(at, tuple(readings), missing)

    def _reading(self, arm: Arm, name: str, at: datetime) -> Reading:
        text = self.bend(name, self.processes[name].page(), self.taken)
        return reading_of(Page.parse(text, where=name), name, METRIC, arm, at)
