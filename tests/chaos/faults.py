"""What is done to a release: a process is killed, stopped for a while, or kept away; a way to it is broken; a file or the
ledger is not as it was.

Each fault says whether clients may see failures, and whether it may be more than a release can be taken back from by itself.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.chaos import network, observer
from tests.chaos.damage import Undo
from tests.chaos.network import Way, way_of
from tests.chaos.signals import kill, nothing, stop
from tests.chaos.stage import Stage

HOUR = 3600


class CannotBeHadError(Exception):
    """This machine cannot have the fault."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault."""

    name: str
    inject: Callable[[Stage, str, random.Random], Undo | None]
    """on the stage, for the release of this id; what ends it; None where this machine cannot have it"""
    most_seconds: float = 0.0
    """it lasts so long at most; 0: it is done at once"""
    fails_clients: bool = False
    """clients may see failures meanwhile: it is their way that it breaks"""
    may_break: bool = False
    """the release may end BROKEN: what its way back needs is not there"""


def _airflow(component: str) -> Callable[[Stage], list[int]]:
    return lambda stage: [stage.airflow.daemon.processes()[component].pid]


def _program(name: str) -> Callable[[Stage], list[int]]:
    return lambda stage: [pid] if (pid := stage.ground.pid(name)) else []


def _of(pids: Callable[[Stage], list[int]], do: Callable[[Iterable[int]], Undo]) -> Callable[..., Undo]:
    return lambda stage, _release, _dice: do([pid for pid in pids(stage) if pid])


def _instance(version: str, do: Callable[[Iterable[int]], Undo]) -> Callable[..., Undo]:
    """A process of the platform of one version."""

    def inject(stage: Stage, _release: str, dice: random.Random) -> Undo:
        pids = stage.ground.instances(version)
        return do([pids[dice.choice(sorted(pids))]]) if pids else nothing

    return inject


def _task(do: Callable[[Iterable[int]], Undo]) -> Callable[..., Undo]:
    """The process that converges, or converged last."""

    def inject(stage: Stage, release: str, _dice: random.Random) -> Undo:
        pids = [
            int(event["data"]["pid"])
            for event in observer.events(stage.ledger, release)
            if event["kind"] == "converge.started"
        ]
        return do([pid for pid in pids[-1:] if _is_task(pid)])

    return inject


def _is_task(pid: int) -> bool:
    """Whether it is still that process, and not another one of the same number."""
    try:
        return any("airflow" in part for part in psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:
        return False


def _ledger_locked(stage: Stage, _release: str, _dice: random.Random) -> Undo:
    """Somebody else writes, and does not end."""
    held = threading.Event()
    over = threading.Event()

    def hold() -> None:
        connection = sqlite3.connect(stage.ledger, timeout=60, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        held.set()
        over.wait()
        connection.execute("ROLLBACK")
        connection.close()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait(60)

    def let_go() -> None:
        over.set()
        thread.join()

    return let_go


def _corrupted(stage: Stage, _release: str, dice: random.Random) -> Undo:
    """A byte of what a service of the new version is started from is another one."""
    there = stage.artefacts(stage.plan.to_version)
    return stage.ground.damage(dice.choice(sorted(there, key=lambda one: one.digest)), dice)


def _disk_full(name: str) -> Callable[..., Undo | None]:
    def inject(stage: Stage, _release: str, _dice: random.Random) -> Undo | None:
        disk = stage.disks[name]
        if disk is None:
            return None
        if name == "ledger":
            # What the write-ahead log has taken before could be written again, however full the disk is.
            _empty_log(stage.ledger)
        disk.fill()
        return disk.free

    return inject


def _empty_log(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger, timeout=60)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _clock_stepped(seconds: int) -> Callable[..., Undo | None]:
    def inject(stage: Stage, _release: str, _dice: random.Random) -> Undo | None:
        clock = stage.clock
        if clock is None:
            return None
        clock.step(seconds)
        return lambda: clock.step(0)

    return inject


def _way(way: Callable[[Stage], Way], how: str) -> Callable[..., Undo | None]:
    return lambda stage, _release, _dice: network.bent(way(stage), how)


def _snapshot_corrupted(stage: Stage, release: str, dice: random.Random) -> Undo:
    """A byte of the snapshot in the ledger is another one."""
    before = observer.data_of(stage.ledger, release, "snapshot.taken")
    at = dice.randrange(len(before))
    _write_snapshot(stage.ledger, release, before[:at] + chr(ord(before[at]) ^ 1) + before[at + 1 :])
    return lambda: _write_snapshot(stage.ledger, release, before)


def _write_snapshot(ledger: Path, release: str, data: str) -> None:
    with closing(sqlite3.connect(ledger, timeout=60)) as connection, connection:
        change = "UPDATE roundtrip_events SET data = ? WHERE release = ? AND kind = 'snapshot.taken'"
        connection.execute(change, (data, release))


def _stable_does_not_start(stage: Stage, _release: str, dice: random.Random) -> Undo:
    """What is there of a service of the stable version dies, and nothing is left that it could be started from."""
    there = {one.service: one for one in stage.artefacts(stage.plan.from_version)}
    return stage.ground.keep_from_starting(there[dice.choice(("api", "workers"))], dice)


WAYS: tuple[tuple[str, Callable[[Stage], Way], float, bool], ...] = (
    ("api-server", lambda stage: way_of(stage.airflow.login().url), 15, False),
    (
        "traefik's own page",
        lambda stage: way_of(stage.machine.target("production").addresses().proxy_metrics),
        15,
        False,
    ),
    ("redis", lambda stage: stage.ground.way_to_redis(stage.redis_url), 4, True),
)
"""What cannot be reached, which way, for how long at most, and whether clients may see that."""
CONTROL = ("scheduler", "triggerer", "api-server", "dag-processor", "postgres")
CORRUPTED = Fault("bundle of the new version corrupted", _corrupted, most_seconds=60)
FAULTS: tuple[Fault, ...] = (
    *(Fault(f"kill {name}", _of(_airflow(name), kill)) for name in CONTROL),
    *(Fault(f"stop {name}", _of(_airflow(name), stop), most_seconds=20) for name in CONTROL[:3]),
    Fault("stop postgres", _of(_airflow("postgres"), stop), most_seconds=8),
    Fault("kill converging task", _task(kill)),
    Fault("stop converging task", _task(stop), most_seconds=25),
    Fault("kill watchdog", _of(_program("watchdog"), kill)),
    Fault("stop watchdog", _of(_program("watchdog"), stop), most_seconds=20),
    Fault("kill traefik", _of(_program("traefik"), kill), fails_clients=True),
    Fault("stop traefik", _of(_program("traefik"), stop), most_seconds=4, fails_clients=True),
    Fault("kill redis", _of(_program("redis"), kill), fails_clients=True),
    Fault("stop redis", _of(_program("redis"), stop), most_seconds=4, fails_clients=True),
    Fault("kill a stable process", _instance("1.0.0", kill), fails_clients=True),
    Fault("stop a stable process", _instance("1.0.0", stop), most_seconds=6, fails_clients=True),
    Fault("kill a new process", _instance("1.1.0", kill), fails_clients=True),
    Fault("stop a new process", _instance("1.1.0", stop), most_seconds=20, fails_clients=True),
    Fault("ledger locked", _ledger_locked, most_seconds=20),
    CORRUPTED,
    Fault("a new process hangs", _instance("1.1.0", stop), most_seconds=120, fails_clients=True),
    Fault("disk of the ledger full", _disk_full("ledger"), most_seconds=20),
    Fault("disk of the environment full", _disk_full("environments"), most_seconds=15, fails_clients=True),
    Fault("clock an hour ahead", _clock_stepped(HOUR), most_seconds=60),
    Fault("clock an hour behind", _clock_stepped(-HOUR), most_seconds=60),
    *(
        Fault(f"{name} {how}", _way(way, how), most_seconds=seconds, fails_clients=fails_clients)
        for name, way, seconds, fails_clients in WAYS
        for how in network.VERDICTS
    ),
    Fault("snapshot corrupted", _snapshot_corrupted, most_seconds=60, may_break=True),
    Fault(
        "stable does not start", _stable_does_not_start, most_seconds=90, fails_clients=True, may_break=True
    ),
)


@contextmanager
def injected(fault: Fault, stage: Stage, release: str, dice: random.Random, seconds: float) -> Iterator[None]:
    """Injected from now on; ended after `seconds` from a thread of its own, and with the block at the latest."""
    undo = fault.inject(stage, release, dice)
    if undo is None:
        raise CannotBeHadError(f"{fault.name}: this machine does not let it be injected")
    over = threading.Event()

    def end() -> None:
        over.wait(seconds)
        undo()

    thread = threading.Thread(target=end)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
