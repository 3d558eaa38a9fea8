"""Processes that lost their supervisor: found by what they were started with, ended for good, nothing else touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from roundtrip.embedded.airflow import EmbeddedAirflow
from roundtrip.embedded.postgres import EmbeddedPostgres
from roundtrip.plan.home import Home
from roundtrip.supervision.daemon import Daemon
from roundtrip.supervision.leftovers import end_leftovers, with_argument, with_variable

ROOT = Path(__file__).resolve().parents[2]
STUBBORN = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
)


class Started(list[subprocess.Popen[bytes]]):
    """Processes of one test."""

    def sleeper(self, **variables: str) -> subprocess.Popen[bytes]:
        self.append(subprocess.Popen(["/bin/sleep", "1000"], env={**os.environ, **variables}))
        return self[-1]


@pytest.fixture
def started() -> Iterator[Started]:
    processes = Started()
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


def test_only_processes_of_the_folder_are_ended(started: Started, tmp_path: Path) -> None:
    ours = started.sleeper(AIRFLOW_HOME=str(tmp_path / "airflow"))
    others = [started.sleeper(AIRFLOW_HOME=str(tmp_path / "airflow2")), started.sleeper()]
    assert end_leftovers([with_variable("AIRFLOW_HOME", str(tmp_path / "airflow"))], where="here") == 1
    assert ours.wait(5) == -signal.SIGTERM
    assert [other.poll() for other in others] == [None, None]


def test_a_process_that_ignores_sigterm_is_killed(
    started: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundtrip.supervision.leftovers.GENTLE_SECONDS", 0.2)
    command = [sys.executable, "-c", STUBBORN, str(tmp_path)]
    started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
    assert started[0].stdout is not None
    assert started[0].stdout.readline() == b"1\n"
    assert end_leftovers([with_argument(str(tmp_path))], where="here") == 1
    assert started[0].wait(5) == -signal.SIGKILL


def test_whoever_asks_is_never_ended(tmp_path: Path) -> None:
    script = (
        "import sys; from roundtrip.supervision.leftovers import *;"
        "print(end_leftovers([with_argument(sys.argv[1])], where='here'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "0"), done.stderr


def test_down_ends_a_worker_that_lost_its_scheduler_and_its_supervisor(
    started: Started, tmp_path: Path
) -> None:
    airflow = EmbeddedAirflow(Home(tmp_path / "home"), ROOT)
    folder = airflow.environment()["AIRFLOW_HOME"]
    Path(folder).mkdir(parents=True)
    worker = started.sleeper(AIRFLOW_HOME=folder)
    assert not airflow.is_up()
    airflow.down()
    assert worker.wait(5) == -signal.SIGTERM


@pytest.mark.integration
def test_postgresql_starts_although_its_old_pid_is_somebody_elses(started: Started, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "supervisor")
    postgres = EmbeddedPostgres(tmp_path / "postgres", daemon)
    daemon.start()
    try:
        postgres.up()
        pids = [int((daemon.folder / "supervisord.pid").read_text()), daemon.processes()["postgres"].pid]
        lock = (postgres.data / "postmaster.pid").read_text().splitlines()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        end_leftovers([with_argument(str(daemon.folder / "supervisord.conf")), postgres.owns], where="here")
        lock[0] = str(started.sleeper().pid)
        (postgres.data / "postmaster.pid").write_text("\n".join(lock) + "\n")
        postgres.forget_lock()
        daemon.start()
        postgres.up()  # returns once it answers
        assert daemon.processes()["postgres"].state in ("STARTING", "RUNNING")
    finally:
        daemon.stop()
