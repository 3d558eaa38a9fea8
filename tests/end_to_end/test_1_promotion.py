"""`./roundtrip release` carries the platform from 1.0.0 to 1.1.0 under traffic; nobody outside sees it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from selenium.webdriver import Chrome

from roundtrip.embedded.secrets import connections_file
from roundtrip.smoke.pages import SESSION_COOKIE
from roundtrip.staging.github_stand_in import User
from tests.end_to_end import browser
from tests.end_to_end.machine import Ended, EndToEnd

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def arguments_seen() -> set[str]:
    """Every process argument that was seen on this machine while the release ran."""
    return set()


@pytest.fixture(scope="module")
def promoted(machine: EndToEnd, arguments_seen: set[str]) -> Ended:
    running = machine.start("release")
    while not running.has_ended:
        for process in psutil.process_iter(["cmdline"]):
            arguments_seen.update(process.info["cmdline"] or ())
        time.sleep(0.5)  # as often as that; the machine is the release's
    return running.wait()


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser that stays open from the new version to the old one."""
    with browser.chromium(tmp_path_factory.mktemp("browser")) as chrome:
        yield chrome


def test_it_is_promoted_and_says_so_in_its_last_line(machine: EndToEnd, promoted: Ended) -> None:
    assert promoted.code == 0
    assert promoted.last_line["outcome"] == "PROMOTED"
    assert (promoted.last_line["plan"], promoted.last_line["version"]) == (machine.machine.plan.name, "1.1.0")
    page = Path(promoted.last_line["dossier"]).read_text(encoding="utf-8")
    assert "PROMOTED" in page


def test_both_environments_run_the_new_version_alone(machine: EndToEnd, promoted: Ended) -> None:
    for stage in ("staging", "production"):
        now = machine.at(stage)
        assert now.versions() == ("1.1.0",)
        assert {p.service: p.replicas for p in now.placements}["workers"] == 3
        assert {p.weight_percent for p in now.placements} == {100}
    assert machine.at("production").flags == {"github-login": True, "backtest-dashboard": True}


def test_staging_and_production_run_the_same_digests(machine: EndToEnd, promoted: Ended) -> None:
    digests = [
        {p.service: p.bundle for p in machine.at(stage).placements} for stage in ("staging", "production")
    ]
    assert digests[0] == digests[1]


def test_no_client_saw_a_request_fail(machine: EndToEnd, promoted: Ended) -> None:
    accounts = {event.key: event.data for event in machine.events("traffic.summary")}
    name = machine.name("production")
    production = {key for key in accounts if str(key).startswith(f"{name}/")}
    assert {f"{name}/production.wave_1", f"{name}/promoted"} <= production
    for key, account in accounts.items():
        assert account["incomplete"] is None, key
        assert account["sent"] > 0, key
        assert (account["failed"], account["by_status"]) == (0, account["by_status"]), (key, account)


def test_the_ledger_is_whole_and_a_changed_byte_is_found(
    machine: EndToEnd, promoted: Ended, tmp_path: Path
) -> None:
    checked = machine.run("verify-ledger")
    assert checked.code == 0
    assert "the chain is whole" in checked.output
    copy = tmp_path / "ledger.db"
    with sqlite3.connect(machine.home / "ledger.db") as ledger, sqlite3.connect(copy) as other:
        ledger.backup(other)
        other.execute(
            "UPDATE roundtrip_events SET data = replace(data, 'PASS', 'FAIL') WHERE kind = 'gate.verdict'"
        )
    found = subprocess.run(
        [sys.executable, "-m", "roundtrip.commands", "verify-ledger"],
        env={"ROUNDTRIP_LEDGER_URL": f"sqlite:///{copy}", "PYTHONPATH": "include", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    assert "event " in found.stderr


def test_no_secret_is_anywhere_but_in_the_secrets_folder(
    machine: EndToEnd, promoted: Ended, arguments_seen: set[str]
) -> None:
    """Every secret of every connection, looked for in the ledger, XCom and all of Airflow's database, logs, the
    dossier, the repository and the arguments of every process."""
    secrets = set(_secret_values(machine))
    assert len(secrets) >= 8
    assert len(arguments_seen) > 100, "nothing was seen of the processes"
    for secret in secrets:
        assert not [argument for argument in arguments_seen if secret in argument]
    places = dict(_written(machine))
    assert {"ledger.db", "airflow's database"} <= set(places)
    assert len(places) > 100, "the logs are among them"
    wanted = {secret.encode() for secret in secrets}
    found = [place for place, content in places.items() if any(secret in content for secret in wanted)]
    assert found == []


def test_a_person_signs_in_in_a_browser_and_finds_the_new_page(
    machine: EndToEnd, promoted: Ended, visitor: Chrome
) -> None:
    visitor.get(machine.machine.target("production").addresses().front_door)
    browser.click(visitor, "Sign in with GitHub")
    browser.wait_until_read(visitor, "Sign out")
    assert "1.1.0" in browser.text(visitor)
    assert User().name in browser.text(visitor)
    browser.click(visitor, "Backtest")
    browser.wait_until_read(visitor, "Run backtest")
    assert browser.errors(visitor) == []


def test_a_promoted_release_is_taken_back_by_the_command_that_names_it(
    machine: EndToEnd, promoted: Ended
) -> None:
    """The next release starts from what this one leaves."""
    release = machine.release()
    ended = machine.run("rollback", release, "--reason", "rehearsed by a test")
    assert ended.code == 0
    assert ended.last_line["outcome"] == "ROLLED BACK"
    assert machine.release() == release, "nothing else was released"
    for stage in ("staging", "production"):
        now = machine.at(stage)
        assert now.versions() == ("1.0.0",)
        assert {p.weight_percent for p in now.placements} == {100}
    begun = machine.events("rollback.begun")[0]
    assert begun.data["why"] == "rehearsed by a test"
    draft = (machine.machine.home.release(release) / "postmortem.md").read_text(encoding="utf-8")
    assert "Outcome: **ROLLED BACK**" in draft


def test_that_browser_gets_the_old_page_as_if_it_had_never_signed_in(
    machine: EndToEnd, promoted: Ended, visitor: Chrome
) -> None:
    """After the rollback, with every cookie that the new version and its proxy gave it, from the new page on its
    screen: the next click, the same page again, and the front page."""
    session = visitor.get_cookie(SESSION_COOKIE)
    assert session is not None, "it has nothing stale"
    page = visitor.current_url
    visitor.refresh()
    assert "404" in browser.text(visitor), "the old version has no such page"
    browser.errors(visitor)
    for _ in range(2):
        visitor.get(page.removesuffix("/backtest"))
        browser.wait_until_read(visitor, "Positions")
        words = browser.text(visitor)
        assert "1.0.0" in words
        assert not [new for new in ("Sign", "Backtest", User().name) if new in words]
    assert browser.errors(visitor) == []
    assert visitor.get_cookie(SESSION_COOKIE) == session, "the old version does not touch what is not its own"


def _secret_values(machine: EndToEnd) -> Iterator[str]:
    """Values that are secret; GITHUB_ID is public by its nature, a public key too. A key in PEM counts by its lines."""
    for connection in json.loads(connections_file(machine.machine.home).read_text(encoding="utf-8")).values():
        for name, value in json.loads(connection["extra"]).items():
            if name != "GITHUB_ID" and "public" not in name:
                yield from (line for line in value.splitlines() if line and not line.startswith("-----"))


def _written(machine: EndToEnd) -> Iterator[tuple[str, bytes]]:
    """Everything that a release writes, by where it is."""
    home = machine.home
    yield "ledger.db", (home / "ledger.db").read_bytes()
    for folder in ("airflow/logs", "airflow/supervisor/logs", "releases", "platform", "notifications.jsonl"):
        for path in sorted([home / folder, *(home / folder).rglob("*")]):
            if path.is_file() and not path.is_symlink() and "node_modules" not in path.parts:
                yield str(path.relative_to(home)), path.read_bytes()
    for log in sorted(home.glob("environments/*/supervisor/logs/*")):
        yield str(log.relative_to(home)), log.read_bytes()
    for traffic in sorted(home.glob("environments/*/traffic/*.json*")):
        yield str(traffic.relative_to(home)), traffic.read_bytes()
    yield "airflow's database", _airflow_database(machine)


def _airflow_database(machine: EndToEnd) -> bytes:
    address = machine.machine.airflow.postgres.url.replace("postgresql+psycopg2", "postgresql")
    with psycopg.connect(address) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        rows = [
            connection.execute(
                psycopg.sql.SQL("SELECT t::text FROM {} t").format(psycopg.sql.Identifier(name))
            )
            for (name,) in tables
        ]
        return b"\n".join(str(row).encode() for each in rows for row in each.fetchall())
