"""The command line as a person or a script meets it: as a process, on an empty state folder."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.supervision.daemon import Daemon, Program

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "release",
    "rehearse",
    "up",
    "down",
    "test",
    "verify-ledger",
    "status",
    "rollback",
    "restore-state",
)


def call(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "ROUNDTRIP_HOME": str(home),
        "PYTHONPATH": str(ROOT / "include"),
        "COLUMNS": "200",
    }
    environment.pop("ROUNDTRIP_LEDGER_URL", None)
    return subprocess.run(
        [sys.executable, "-m", "roundtrip.commands", *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def fill(home: Path, events: int) -> None:
    ledger = Ledger(Home(home).ledger_url)
    for number in range(events):
        ledger.append("r", "task.failed", {"task": f"t{number}", "error": "e"})


def test_help_names_every_command(home_folder: Path) -> None:
    done = call(home_folder, "--help")
    assert done.returncode == 0
    assert [name for name in COMMANDS if name not in done.stdout] == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["release", "--plan", "nope"], "PlanError: no plan 'nope', known: top_tier_trading_1_1_0"),
        (["release", "--fault", "gremlins"], "PlanError: no fault 'gremlins' for stage 'staging', known: "),
        (["release", "--fault", "errors", "--fault-stage", "moon"], "no fault 'errors' for stage 'moon'"),
        (["release", "--env", "mars"], "mars_staging.yaml"),
        (["verify-ledger"], "LedgerError: there is no ledger"),
        (["restore-state", "r"], "LedgerError: there is no ledger"),
        (["rollback", "r"], "LedgerError: there is no ledger"),
    ],
)
def test_an_error_is_one_line_on_standard_error_and_nothing_is_touched(
    home_folder: Path, arguments: list[str], says: str
) -> None:
    done = call(home_folder, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert says in line
    assert " -> " in line
    assert list(home_folder.iterdir()) == []


def test_the_ledger_that_is_whole_is_counted(home_folder: Path) -> None:
    fill(home_folder, 3)
    assert call(home_folder, "verify-ledger").stdout == "3 events, the chain is whole\n"
    assert json.loads(call(home_folder, "verify-ledger", "--json").stdout) == {"events": 3}


def test_state_of_a_release_that_is_unknown_or_removed_nothing_is_not_put_back(home_folder: Path) -> None:
    fill(home_folder, 1)
    [line] = call(home_folder, "restore-state", "r").stderr.splitlines()
    assert "LedgerError: expected an event release.started of 'r', got none" in line
    environments = {"staging": "local_staging", "production": "local_production"}
    started = {"plan": "top_tier_trading_1_1_0", "environments": environments}
    Ledger(Home(home_folder).ledger_url).append_once("r", "release.started", "started", started)
    done = call(home_folder, "restore-state", "r", "--stage", "staging")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "RollbackError: no rollback of this release has removed a key here at r, local_staging" in line


def test_one_changed_byte_is_found_and_its_event_named(home_folder: Path) -> None:
    fill(home_folder, 3)
    with sqlite3.connect(home_folder / "ledger.db") as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (trigger,) in triggers:
            database.execute(f"DROP TRIGGER {trigger}")
        changed = database.execute(
            "UPDATE roundtrip_events SET data = replace(data, 't1', 't9') WHERE seq = 2"
        ).rowcount
    assert changed == 1
    done = call(home_folder, "verify-ledger")
    assert (done.returncode, done.stdout) == (1, "")
    assert "event 2" in done.stderr


def test_status_of_a_machine_where_nothing_was_started_says_so_and_makes_no_key(home_folder: Path) -> None:
    done = call(home_folder, "status", "--json")
    assert json.loads(done.stdout) == {
        "airflow": {"url": None, "is_up": False},
        "environments": {"local_staging": {"problem": "is down"}, "local_production": {"problem": "is down"}},
        "watched": {},
        "release": None,
        "outcome": None,
    }
    assert "no release was started yet" in call(home_folder, "status").stdout
    assert not (home_folder / "secrets").exists()


@pytest.mark.integration
def test_down_ends_environments_of_plans_that_are_not_there_any_more(home_folder: Path) -> None:
    daemon = Daemon(home_folder / "environments" / "forgotten_production" / "supervisor")
    daemon.start()
    try:
        daemon.put(Program("sleeper", ["/bin/sleep", "1000"], Path("/"), steady_seconds=0))
        sleeper = psutil.Process(daemon.processes()["sleeper"].pid)
        assert call(home_folder, "down").returncode == 0
        assert not daemon.is_running()
        assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
        assert call(home_folder, "down").returncode == 0, "a second time there is nothing to do"
    finally:
        daemon.stop()


def test_the_suites_summary_is_written_where_it_is_asked_for(home_folder: Path, tmp_path: Path) -> None:
    passes = tmp_path / "test_passes.py"
    passes.write_text("def test_it():\n    assert 1 + 1 == 2\n\ndef test_other():\n    assert False\n")
    report = tmp_path / "summary.txt"
    done = call(home_folder, "test", "--report", str(report), "-p", "no:cacheprovider", str(passes))
    assert done.returncode == 1
    assert report.read_text().splitlines()[-1].startswith(("1 failed, 1 passed", "==="))
    assert "1 failed, 1 passed" in report.read_text()
