"""All of Airflow is killed in the middle of a wave, database included: the watchdog brings the traffic back, and when Airflow
is there again its run takes the release back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from roundtrip.ledger.ledger import Event
from roundtrip.plan.deployment import Deployment
from tests.end_to_end.machine import POLL_SECONDS, Ended, EndToEnd

pytestmark = pytest.mark.end_to_end

WAVE = "production.wave_2"
SAMPLE = f"{WAVE}#2"
ENDED_LIMIT_SECONDS = 600


@dataclass
class Gone:
    """What came of it."""

    ended: Ended
    killed_at: float
    pulled: Event | None
    without_airflow: Deployment
    """production after the watchdog had acted, and before Airflow was back"""


@pytest.fixture(scope="module")
def gone(machine: EndToEnd) -> Gone:
    since = machine.newest()
    running = machine.start("release")
    sample = machine.wait_for(
        running, SAMPLE, lambda e: e.kind == "gate.sample" and e.key == SAMPLE, after=since
    )
    assert sample is not None, "the wave was never judged"
    for process in list(_airflow(machine)):
        process.kill()
    killed_at = time.time()
    seconds = machine.machine.plan.production.lease_seconds
    pulled = _until(machine, "watchdog.pulled", limit_seconds=3 * seconds)
    without_airflow = machine.at("production")
    assert machine.run("up").code == 0
    _until(machine, "release.outcome", limit_seconds=ENDED_LIMIT_SECONDS)
    return Gone(running.wait(), killed_at, pulled, without_airflow)


def test_the_watchdog_brought_the_traffic_back_while_airflow_was_gone(machine: EndToEnd, gone: Gone) -> None:
    assert gone.pulled is not None
    seconds = machine.machine.plan.production.lease_seconds
    assert 0 < gone.pulled.at.timestamp() - gone.killed_at < 2 * seconds
    assert gone.pulled.data["holder"] == WAVE
    there = {(p.service, p.version): p for p in gone.without_airflow.placements}
    assert {version for _, version in there} == {"1.0.0", "1.1.0"}, "it is stopped by the rollback"
    assert ("workers", "1.0.0") in there
    assert ("workers", "1.1.0") not in there, "a weight does not keep it from the queue"
    for (service, version), placed in there.items():
        is_alone = (service, "1.0.0") not in there
        assert placed.weight_percent == (100 if version == "1.0.0" or is_alone else 0), service


def test_when_airflow_was_back_its_run_took_the_release_back(machine: EndToEnd, gone: Gone) -> None:
    outcome = machine.events("release.outcome")[-1].data
    assert outcome["outcome"] == "ROLLED BACK"
    assert "nobody has renewed the lease" in outcome["reason"]
    assert {e.key for e in machine.events("rollback.verified")} == {"local_staging", "local_production"}
    snapshot = next(e for e in machine.events("snapshot.taken") if e.key == "local_production")
    assert machine.at("production").to_json() == snapshot.data["deployment"]


def test_nothing_of_the_release_went_forward_after_the_lapse(machine: EndToEnd, gone: Gone) -> None:
    lapsed = machine.events("watchdog.lapsed")[0].seq
    holders = [e.data["holder"] for e in machine.events("token.taken") if e.seq > lapsed]
    assert {holder.partition(".")[0] for holder in holders} <= {"watchdog", "rollback"}
    assert not [e for e in machine.events("gate.verdict") if e.seq > lapsed]


def test_no_client_was_failed(machine: EndToEnd, gone: Gone) -> None:
    for event in machine.events("traffic.summary"):
        assert (event.data["incomplete"], event.data["failed"]) == (None, 0), (event.key, event.data)


def test_the_ledger_is_whole(machine: EndToEnd, gone: Gone) -> None:
    assert machine.run("verify-ledger").code == 0


def _airflow(machine: EndToEnd) -> Iterator[psutil.Process]:
    """Its supervisor first, then every process of it and of its database."""
    folders = [str(machine.home / name) for name in ("airflow", "postgres")]
    found = []
    for process in psutil.process_iter():
        try:
            home, command = process.environ().get("AIRFLOW_HOME"), " ".join(process.cmdline())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if home == folders[0] or any(folder in command for folder in folders):
            found.append((f"{folders[0]}/supervisor" not in command, process.pid, process))
    for *_, process in sorted(found, key=lambda one: one[:2]):
        yield process


def _until(machine: EndToEnd, kind: str, *, limit_seconds: float) -> Event | None:
    deadline = time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        events = machine.events(kind)
        if events:
            return events[-1]
        time.sleep(POLL_SECONDS)
    return None
