"""The named faults: what happens to the evidence, and with which causes the gate may end."""

from __future__ import annotations

import json
import random
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.gate_faults.streams import MUTATIONS
from benchmarks.gate_faults.world import METRIC, PROCESSES, World
from roundtrip.gates.fold import RawScrape
from roundtrip.gates.reading import Limits, Versions
from roundtrip.gates.scrape import Services

SEED = 1


@dataclass(frozen=True)
class Fault:
    """One fault."""

    name: str
    world: Callable[[], World]
    expected: frozenset[str]
    """causes of INCONCLUSIVE that name it, and FAIL where the gate may see the harm all the same"""


def _bent(mutation: str, *, arm: str = "canary") -> Callable[[], World]:
    """From the second sample on."""

    def world() -> World:
        dice = random.Random(SEED)
        return World(
            dice,
            lambda process, text, number: (
                MUTATIONS[mutation](text, dice) if process in PROCESSES[arm] and number > 1 else text
            ),
        )

    return world


def _silent(arm: str) -> Callable[[], World]:
    rates = {"canary": 10, "stable": 10, arm: 0}
    return lambda: World(random.Random(SEED), per_second=rates)


def _frozen() -> World:
    kept: dict[str, str] = {}
    return World(random.Random(SEED), lambda process, text, _number: kept.setdefault(process, text))


def _restarting() -> World:
    world = World(random.Random(SEED))
    sleep = world.sleep

    async def sleep_and_restart(seconds: float) -> None:
        await sleep(seconds)
        if world.taken % 2 == 0:
            world.restart("canary:1")

    world.sleep = sleep_and_restart  # type: ignore[method-assign]
    return world


def _clock(step: float) -> Callable[[], World]:
    """The clock jumps once, before the third sample."""
    return lambda: World(random.Random(SEED), clock_step=lambda number: step if number == 2 else 0.0)


class Asked(World):
    """A world whose processes are asked over HTTP, at an address where nothing answers in time."""

    def __init__(self, *, listens: bool) -> None:
        super().__init__(random.Random(SEED))
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        if listens:
            self._socket.listen()  # connections are taken, and never answered
        self._address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    async def read(self, at: datetime) -> RawScrape:
        self.taken += 1
        with tempfile.TemporaryDirectory() as folder:
            targets = Path(folder) / "targets.json"
            listed = [
                {"targets": [self._address], "labels": {"service": METRIC.service, "version": version}}
                for version in ("1.0.0", "1.1.0")
            ]
            targets.write_text(json.dumps(listed), encoding="utf-8")
            limits = Limits(seconds=0.1)
            return await Services(targets, (METRIC,), Versions("1.1.0", "1.0.0"), limits).read(at)


FAULTS = (
    Fault("source down", lambda: Asked(listens=False), frozenset({"target-vanished"})),
    Fault("source too slow", lambda: Asked(listens=True), frozenset({"target-vanished"})),
    Fault("empty page", _bent("no page"), frozenset({"metric-renamed"})),
    Fault("error page instead of metrics", _bent("an error page"), frozenset({"source-unreadable"})),
    Fault("counters reset at every second sample", _restarting, frozenset({"FAIL"})),
    Fault("page frozen", _frozen, frozenset({"no-traffic"})),
    Fault("NaN", _bent("NaN"), frozenset({"source-unreadable"})),
    Fault("negative", _bent("negative"), frozenset({"source-unreadable"})),
    Fault("huge", _bent("huge"), frozenset({"source-unreadable"})),
    Fault("half a request", _bent("half"), frozenset({"source-unreadable"})),
    Fault("metric renamed", _bent("renamed"), frozenset({"metric-renamed"})),
    Fault("label renamed", _bent("label renamed"), frozenset({"metric-renamed"})),
    Fault("error series lost", _bent("no error series"), frozenset({"source-unreadable"})),
    Fault("page cut off", _bent("cut off"), frozenset({"source-unreadable", "metric-renamed"})),
    Fault("canary silent", _silent("canary"), frozenset({"no-traffic"})),
    Fault("stable silent", _silent("stable"), frozenset({"no-traffic"})),
    Fault("clock an hour ahead", _clock(3600), frozenset({"FAIL", "no-traffic", "undecided"})),
    Fault("clock an hour back", _clock(-3600), frozenset({"FAIL"})),
)
