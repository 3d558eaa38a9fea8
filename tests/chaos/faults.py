"""What is done to a release: a process is killed, stopped for a while, or kept away; a way to it is broken; a file or the
ledger is not as it was.

Each fault says whether clients may see failures, and whether it may be more than a release can be taken back from by itself.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from roundtrip.targets.bundles import BundleStore
from tests.chaos import network, observer
from tests.chaos.stage import Stage

Undo = Callable[[], None]
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


def _nothing() -> None:
    """What is done at once has no end."""


def _kill(pids: Sequence[int]) -> Undo:
    for pid in pids:
        _signal(pid, signal.SIGKILL)
    return _nothing


def _stop(pids: Sequence[int]) -> Undo:
    for pid in pids:
        _signal(pid, signal.SIGSTOP)

    def go_on() -> None:
        for pid in pids:
            _signal(pid, signal.SIGCONT)

    return go_on


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself; the next run has another seed


def _airflow(component: str) -> Callable[[Stage], list[int]]:
    return lambda stage: [stage.airflow.daemon.processes()[component].pid]


def _program(name: str) -> Callable[[Stage], list[int]]:
    return lambda stage: [stage.machine.target("production").infrastructure.daemon.processes()[name].pid]


def _of(pids: Callable[[Stage], list[int]], do: Callable[[Sequence[int]], Undo]) -> Callable[..., Undo]:
    return lambda stage, _release, _dice: do([pid for pid in pids(stage) if pid])


def _instance(version: str, do: Callable[[Sequence[int]], Undo]) -> Callable[..., Undo]:
    """A process of the platform of one version."""

    def inject(stage: Stage, _release: str, dice: random.Random) -> Undo:
        processes = stage.machine.target("production").infrastructure.daemon.processes()
        there = sorted(name for name, one in processes.items() if f"-{version}-" in name and one.pid)
        return do([processes[dice.choice(there)].pid]) if there else _nothing

    return inject


def _task(do: Callable[[Sequence[int]], Undo]) -> Callable[..., Undo]:
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


def _bundle_corrupted(stage: Stage, _release: str, dice: random.Random) -> Undo:
    """A byte of a bundle of the new version in the store is another one."""
    digest = dice.choice(sorted(stage.bundles[stage.plan.to_version].values()))
    return _with_another_byte(BundleStore(stage.home.store).path(digest), dice)


def _with_another_byte(file: Path, dice: random.Random) -> Undo:
    if not file.exists():
        raise RuntimeError(f"no such bundle: {file}")
    before = file.read_bytes()
    at = dice.randrange(len(before))
    mode = file.stat().st_mode
    file.chmod(0o600)
    file.write_bytes(before[:at] + bytes([before[at] ^ 0xFF]) + before[at + 1 :])
    file.chmod(mode)

    def restore() -> None:
        file.chmod(0o600)
        file.write_bytes(before)
        file.chmod(mode)

    return restore


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


def _way(port: Callable[[Stage], int], how: str) -> Callable[..., Undo | None]:
    return lambda stage, _release, _dice: network.bent(port(stage), how)


def _port_of(address: str) -> int:
    port = urlsplit(address).port
    if port is None:
        raise RuntimeError(f"no port in {address}")
    return port


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
    """A process of the stable version dies, what it was started from is gone, and so is what that was unpacked from."""
    version = stage.plan.from_version
    service, code = dice.choice((("api", "dist"), ("workers", "site")))
    digest = stage.bundles[version][service]
    unpacked = stage.environment / "bundles" / digest.removeprefix("sha256:")
    there, aside = unpacked / code, unpacked / f"{code}.aside"
    restore = _with_another_byte(BundleStore(stage.home.store).path(digest), dice)
    there.rename(aside)
    processes = stage.machine.target("production").infrastructure.daemon.processes()
    _kill(
        [one.pid for name, one in processes.items() if name.startswith(f"{service}-{version}-") and one.pid]
    )

    def repair() -> None:
        restore()
        if aside.exists() and not there.exists():
            aside.rename(there)

    return repair


WAYS: tuple[tuple[str, Callable[[Stage], int], float, bool], ...] = (
    ("api-server", lambda stage: _port_of(stage.airflow.login().url), 15, False),
    (
        "traefik's own page",
        lambda stage: _port_of(stage.machine.target("production").addresses().proxy_metrics),
        15,
        False,
    ),
    ("redis", lambda stage: _port_of(stage.redis_url), 4, True),
)
"""What cannot be reached, at which port, for how long at most, and whether clients may see that."""
CONTROL = ("scheduler", "triggerer", "api-server", "dag-processor", "postgres")
FAULTS: tuple[Fault, ...] = (
    *(Fault(f"kill {name}", _of(_airflow(name), _kill)) for name in CONTROL),
    *(Fault(f"stop {name}", _of(_airflow(name), _stop), most_seconds=20) for name in CONTROL[:3]),
    Fault("stop postgres", _of(_airflow("postgres"), _stop), most_seconds=8),
    Fault("kill converging task", _task(_kill)),
    Fault("stop converging task", _task(_stop), most_seconds=25),
    Fault("kill watchdog", _of(_program("watchdog"), _kill)),
    Fault("stop watchdog", _of(_program("watchdog"), _stop), most_seconds=20),
    Fault("kill traefik", _of(_program("traefik"), _kill), fails_clients=True),
    Fault("stop traefik", _of(_program("traefik"), _stop), most_seconds=4, fails_clients=True),
    Fault("kill redis", _of(_program("redis"), _kill), fails_clients=True),
    Fault("stop redis", _of(_program("redis"), _stop), most_seconds=4, fails_clients=True),
    Fault("kill a stable process", _instance("1.0.0", _kill), fails_clients=True),
    Fault("stop a stable process", _instance("1.0.0", _stop), most_seconds=6, fails_clients=True),
    Fault("kill a new process", _instance("1.1.0", _kill), fails_clients=True),
    Fault("stop a new process", _instance("1.1.0", _stop), most_seconds=20, fails_clients=True),
    Fault("ledger locked", _ledger_locked, most_seconds=20),
    Fault("bundle of the new version corrupted", _bundle_corrupted, most_seconds=60),
    Fault("a new process hangs", _instance("1.1.0", _stop), most_seconds=120, fails_clients=True),
    Fault("disk of the ledger full", _disk_full("ledger"), most_seconds=20),
    Fault("disk of the environment full", _disk_full("environments"), most_seconds=15, fails_clients=True),
    Fault("clock an hour ahead", _clock_stepped(HOUR), most_seconds=60),
    Fault("clock an hour behind", _clock_stepped(-HOUR), most_seconds=60),
    *(
        Fault(f"{name} {how}", _way(port, how), most_seconds=seconds, fails_clients=fails_clients)
        for name, port, seconds, fails_clients in WAYS
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
