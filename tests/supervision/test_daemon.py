"""supervisord as a place where processes stay alive: real processes, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roundtrip.errors import HostError
from roundtrip.supervision.daemon import Daemon, Program, runtime_folder

LIMIT_SECONDS = 15


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path / "supervisor")
    made.start()
    try:
        yield made
    finally:
        made.stop()


def sleeper(name: str = "sleeper-1.0.0-1", seconds: int = 1000, **environment: str) -> Program:
    return Program(name, ["/bin/sleep", str(seconds)], Path("/"), environment, steady_seconds=0)


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {LIMIT_SECONDS} s for {what}"
        time.sleep(0.02)


def test_a_program_that_is_put_twice_is_one_process(daemon: Daemon) -> None:
    daemon.put(sleeper())
    first = daemon.processes()["sleeper-1.0.0-1"].pid
    daemon.put(sleeper())
    assert daemon.processes()["sleeper-1.0.0-1"].pid == first


def test_a_changed_program_is_another_process(daemon: Daemon) -> None:
    daemon.put(sleeper())
    first = daemon.processes()["sleeper-1.0.0-1"].pid
    daemon.put(sleeper(seconds=2000))
    assert daemon.processes()["sleeper-1.0.0-1"].pid != first


def test_a_killed_process_is_back(daemon: Daemon) -> None:
    daemon.put(sleeper())
    first = daemon.processes()["sleeper-1.0.0-1"].pid
    os.kill(first, signal.SIGKILL)
    wait(lambda: daemon.processes()["sleeper-1.0.0-1"].pid not in (0, first), "the process to be back")


def test_removed_means_ended_and_forgotten_also_twice(daemon: Daemon) -> None:
    daemon.put(sleeper())
    pid = daemon.processes()["sleeper-1.0.0-1"].pid
    daemon.remove("sleeper-1.0.0-1")
    daemon.remove("sleeper-1.0.0-1")
    assert daemon.processes() == {}
    assert daemon.known() == []
    assert not Path(f"/proc/{pid}").exists()


def test_a_stop_that_was_begun_lasts_until_the_program_is_wanted_again(daemon: Daemon) -> None:
    name = "sleeper-1.0.0-1"
    daemon.put(sleeper())
    daemon.begin_stop(name)
    daemon.begin_stop(name)
    daemon.begin_stop("never-put")
    wait(lambda: daemon.processes()[name].state == "STOPPED", "the process to end")
    daemon.ensure(name)
    daemon.ensure("never-put")
    wait(lambda: daemon.processes()[name].pid != 0, "the process to be back")
    assert list(daemon.processes()) == [name]


def test_a_program_that_was_written_but_never_loaded_is_loaded(daemon: Daemon) -> None:
    text = sleeper().render(daemon.logs)
    (daemon.programs / "sleeper-1.0.0-1.conf").write_text(text)
    daemon.ensure("sleeper-1.0.0-1")
    wait(lambda: daemon.processes()["sleeper-1.0.0-1"].pid != 0, "the process to run")


def test_what_ran_before_a_power_cut_runs_again_after_start(daemon: Daemon) -> None:
    daemon.put(sleeper())
    pids = [int((daemon.folder / "supervisord.pid").read_text()), daemon.processes()["sleeper-1.0.0-1"].pid]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not daemon.is_running(), "the daemon to be gone")
    daemon.start()
    wait(lambda: daemon.processes()["sleeper-1.0.0-1"].pid not in (0, pids[1]), "the process to be back")


def test_variables_of_the_starter_do_not_reach_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_SECRET", "do-not-inherit")
    daemon = Daemon(tmp_path / "other")
    daemon.start()
    try:
        daemon.put(sleeper(GIVEN="50%, and a comma"))
        pid = daemon.processes()["sleeper-1.0.0-1"].pid
        wait(lambda: b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes(), "the program to be executed")
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    finally:
        daemon.stop()
    assert b"GIVEN=50%, and a comma" in variables
    assert not any(variable.startswith(b"SOME_SECRET") for variable in variables)


def test_a_daemon_that_does_not_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"supervisord does not answer: .* -> \./roundtrip up starts it"):
        Daemon(tmp_path / "never").processes()


def test_the_socket_folder_is_short_and_private_whatever_the_path(tmp_path: Path) -> None:
    deep = tmp_path / ("deep-" * 20) / ("deeper-" * 15)
    folder = runtime_folder(deep)
    assert len(str(folder / "supervisor.sock")) < 100
    assert folder.stat().st_mode & 0o077 == 0
    assert runtime_folder(deep) == folder
    folder.rmdir()
