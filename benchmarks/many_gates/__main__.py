"""Gates that wait at once in one Airflow triggerer: memory, lateness of its event loop, samples taken, verdicts.

    PYTHONPATH=include:plugins .venv/bin/python -m benchmarks.many_gates [--gates 1 100 1000] [--interval 5] [--seconds 120]

Real: Airflow on its embedded PostgreSQL under supervisord, started as the product starts it; the product's sensor and
trigger, started from the triggerer; the plan's gate `production-wave` with all its metrics and guard rails; the local
target; one SQLite ledger for all; for each sample of each gate one request for the front door's page and one for each of
six workers. Nothing is shared between gates: in the field each has an environment of its own.
Replaced: what the environment runs, because a thousand environments do not fit on a machine. One process stands in for
the front door, one for each instance (`platform`), and the files of a converge are written by `ground`; all gates read
that one environment. Its servers, Airflow's other components and PostgreSQL share the machine with the triggerer.
Changed in the plan's gate: the interval (and stale_seconds with it, ten intervals as in the plan) and the shortest time.

Gates begin in runs of twenty, no more than BEGINNING_AT_ONCE at a time. A thousand that begin in one second are another
matter: Airflow sends the triggerer each one's serialised DAG, all in one message.

The figures of "waiting" are of the time in which all gates wait at once, WINDOW_SECONDS at most. Exit code 1 when any
gate ended otherwise than PASS, or a sample is lost or double.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.many_gates.ground import (
    PLACED,
    Airflow,
    Settings,
    lay_checkout,
    record_placed,
    start_platform,
)
from benchmarks.many_gates.measures import (
    MEBIBYTE,
    Probe,
    Recorded,
    Tasks,
    Use,
    blocked_lines,
    quantile,
)
from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home

BASELINE_SECONDS = 10
WINDOW_SECONDS = 60
START_LIMIT_SECONDS = 900
END_LIMIT_SECONDS = 1800
POLL_SECONDS = 1.0
BEGINNING_AT_ONCE = 100
"""gates that have begun and have no sample yet, at most"""


def main() -> int:
    """Print one block for each number of gates."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gates", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument(
        "--interval", type=float, default=1.0, help="interval_seconds of the gates; the plan's is 1"
    )
    parser.add_argument("--seconds", type=float, default=120.0, help="minimum_seconds of the gates")
    options = parser.parse_args()
    wrong = 0
    for number in options.gates:
        settings = Settings(number, options.interval, options.seconds)
        with tempfile.TemporaryDirectory(prefix="many-gates-") as folder:
            wrong += Benchmark(Path(folder), settings).run()
    return 1 if wrong else 0


@dataclass(frozen=True)
class Waiting:
    """While all gates wait."""

    begins: float
    """Unix time"""
    ends: float
    before: Use
    after: Use
    slots: int
    """most worker slots that were taken or asked for"""
    deferred: int
    """fewest gates that Airflow had waiting"""

    @property
    def seconds(self) -> float:
        return self.ends - self.begins


class Benchmark:
    """One number of gates, from an empty folder to the last verdict."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._settings = settings
        self._root = folder / "checkout"
        self._home = Home(folder / "home")
        self._airflow = Airflow(self._home, self._root, settings)
        self._probe = Probe(self._home.root / "probe.jsonl")
        self._recorded = Recorded(self._home.root / "ledger.db")
        self._log = self._airflow.daemon.logs / "triggerer.log"

    def run(self) -> int:
        """How many gates did not end as they should."""
        lay_checkout(self._root, self._settings)
        platform = start_platform(self._home)
        try:
            self._airflow.up()
            return self._measure(AirflowApi(self._airflow.login()))
        finally:
            self._airflow.down()
            platform.stop()

    def _measure(self, api: AirflowApi) -> int:
        tasks, ledger = Tasks(self._airflow.postgres.url), Ledger(self._home.ledger_url)
        self._start_probe(api)
        idle = self._wait_idle()
        log_bytes = self._log.stat().st_size
        started = time.time()
        for run in range(self._settings.gates // self._settings.per_run):
            self._until_sampling((run + 1) * self._settings.per_run - BEGINNING_AT_ONCE)
            for number in range(self._settings.per_run):
                record_placed(ledger, f"run-{run}.{number}")
            api.trigger("gates", f"run-{run}", {})
        self._until_sampling(self._settings.gates)
        all_waiting = time.time()
        waiting = self._watch(tasks)
        blocked = blocked_lines(self._airflow.daemon.logs, log_bytes)
        self._until(
            lambda: self._recorded.count("gate.verdict") == self._settings.gates,
            END_LIMIT_SECONDS,
            "all verdicts",
        )
        decided = time.time()
        ended = ("success", "failed")
        self._until(
            lambda: sum(tasks.states()[state] for state in ended) == self._settings.gates,
            END_LIMIT_SECONDS,
            "Airflow to end all tasks",
        )
        reported = time.time()
        (self._home.root / "stop").touch()
        self._say_head(idle)
        print(f"  from the first trigger to all waiting: {all_waiting - started:.0f} s")
        self._say_waiting(waiting, idle[1])
        print(f"  Airflow's warnings of a blocked loop, start included: {blocked}")
        print(
            f"  to the last verdict: {decided - started:.0f} s; until Airflow has ended all tasks: {reported - started:.0f} s"
        )
        print(f"  tasks: {dict(tasks.states())}")
        return self._say_ledger()

    def _until_sampling(self, gates: int) -> None:
        self._until(
            lambda: self._recorded.sampling() >= gates, START_LIMIT_SECONDS, f"{gates} gates to have a sample"
        )

    def _start_probe(self, api: AirflowApi) -> None:
        self._until(lambda: {"probe", "gates"} <= api.dag_ids(), START_LIMIT_SECONDS, "the DAGs to be parsed")
        for dag in ("probe", "gates"):
            api.unpause(dag)
        api.trigger("probe", "probe", {})
        self._until(lambda: self._probe.pid() is not None, START_LIMIT_SECONDS, "the probe to begin")

    def _wait_idle(self) -> tuple[Use, Use, list[float]]:
        """The triggerer with nothing but the probe, for BASELINE_SECONDS."""
        began, before = time.time(), self._use()
        time.sleep(BASELINE_SECONDS)
        return before, self._use(), self._probe.late(began, time.time())

    def _watch(self, tasks: Tasks) -> Waiting:
        """From now until a gate ends, or the window is over."""
        begins, before = time.time(), self._use()
        slots, deferred = 0, self._settings.gates
        while time.time() < begins + WINDOW_SECONDS and self._recorded.count("gate.verdict") == 0:
            slots = max(slots, tasks.worker_slots())
            deferred = min(deferred, tasks.states()["deferred"])
            time.sleep(2)
        return Waiting(begins, time.time(), before, self._use(), slots, deferred)

    def _use(self) -> Use:
        pid = self._probe.pid()
        assert pid is not None
        return Use.of(pid)

    def _say_head(self, idle: tuple[Use, Use, list[float]]) -> None:
        settings = self._settings
        print(
            f"{settings.gates} gates, interval {settings.interval_seconds:g} s, {1 + 2 * dict(PLACED)['workers']} pages "
            f"a sample; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        cpu = (idle[1].cpu_seconds - idle[0].cpu_seconds) / BASELINE_SECONDS
        print(
            f"  before: {idle[1].resident_bytes / MEBIBYTE:.0f} MiB resident, {100 * cpu:.0f} % of a core, {_late(idle[2])}"
        )

    def _say_waiting(self, waiting: Waiting, idle: Use) -> None:
        gates = self._settings.gates
        if waiting.seconds < POLL_SECONDS:
            print("  some had ended before all waited: give more --seconds")
            return
        taken = self._recorded.samples_between(waiting.begins, waiting.ends) / waiting.seconds
        gaps = self._recorded.gaps(waiting.begins, waiting.ends)
        use, cpu = waiting.after, waiting.after.cpu_seconds - waiting.before.cpu_seconds
        grown = use.resident_bytes - idle.resident_bytes
        print(
            f"  waiting, for {waiting.seconds:.0f} s: {waiting.deferred} gates, {waiting.slots} worker slots"
        )
        print(
            f"    samples a second: {taken:.1f}, expected {gates / self._settings.interval_seconds:.1f}; "
            f"seconds between a gate's samples: median {quantile(gaps, 0.5):.2f}, p99 {quantile(gaps, 0.99):.2f}, "
            f"worst {quantile(gaps, 1):.2f}"
        )
        print(
            f"    {use.resident_bytes / MEBIBYTE:.0f} MiB resident, {grown / gates / 1024:.0f} KiB a gate; {use.threads} threads; "
            f"{100 * cpu / waiting.seconds:.0f} % of a core, {1000 * cpu / waiting.seconds / max(taken, 0.001):.1f} ms a sample"
        )
        print(f"    {_late(self._probe.late(waiting.begins, waiting.ends))}")

    def _say_ledger(self) -> int:
        gates, verdicts = self._settings.gates, self._recorded.verdicts()
        passed, doubled = verdicts["PASS"], self._recorded.wrongly_numbered()
        events = Ledger(self._home.ledger_url).verify()
        print(
            f"  ledger: {passed} PASS, {sum(verdicts.values()) - passed} others; gates with a lost or double sample: "
            f"{doubled}; samples in which something was missing: {self._recorded.unread()}; {events} events verified"
        )
        for reason in self._recorded.reasons()[:3]:
            print(f"    not PASS: {reason[:300]}")
        sys.stdout.flush()
        return (gates - passed) + doubled

    def _until(self, holds: Callable[[], bool], limit_seconds: float, what: str) -> None:
        deadline = time.monotonic() + limit_seconds
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {limit_seconds:g} s for {what}")
            time.sleep(POLL_SECONDS)


def _late(late: list[float]) -> str:
    shown = [f"{1000 * quantile(late, part):.1f}" for part in (0.5, 0.99, 1)]
    return f"event loop late by ms: median {shown[0]}, p99 {shown[1]}, worst {shown[2]}"


if __name__ == "__main__":
    sys.exit(main())
