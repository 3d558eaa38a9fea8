"""All of Airflow is killed in the middle of a wave, database included: the watchdog brings the traffic back, and when Airflow
is there again its run takes the release back. Who follows the run at the command line sees it to its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil
import pytest
from rich.console import Console

from roundtrip.commands.follow import Follower
from roundtrip.plan.deployment import Deployment
from tests.chaos import observer
from tests.chaos.moments import Moment
from tests.chaos.releases import Begun, begun, outcome_of
from tests.chaos.stage import Stage

pytestmark = pytest.mark.end_to_end

SEED = 20261129
WAVE = "production.wave_2"
KILLED_AT = Moment("gate.sample", f"{WAVE}#2")


@dataclass(frozen=True)
class Gone:
    """What came of it."""

    release: Begun
    outcome: str | None
    state: str
    """the run's, as its follower was told"""
    killed_at: float
    pulled_at: float
    without_airflow: Deployment
    """production after the watchdog had acted, and before Airflow was back"""


@pytest.fixture(scope="module")
def gone(here: Stage) -> Gone:
    outcome, killed_at, pulled_at, without = None, 0.0, 0.0, Deployment()
    with begun(here, "airflow-gone", SEED) as release, ThreadPoolExecutor(1) as beside:
        follower = Follower(here.api, here.machine.ledger, Console(), here.dag_id, release.run_id, release.id)
        followed = beside.submit(follower.follow)
        for event in release.coming():
            if KILLED_AT.is_now(event) and not killed_at:
                for process in list(_airflow(here)):
                    process.kill()
                killed_at = time.time()
            if event["kind"] == "watchdog.pulled":
                pulled_at = time.time()
                without = here.machine.target("production").observe()
                here.airflow.up()
            outcome = outcome_of(event)
        state = followed.result()
    return Gone(release, outcome, state, killed_at, pulled_at, without)


def test_the_watchdog_brought_the_traffic_back_while_airflow_was_gone(here: Stage, gone: Gone) -> None:
    assert gone.killed_at, "the wave was never judged"
    assert 0 < gone.pulled_at - gone.killed_at < 2 * here.plan.production.lease_seconds
    assert observer.last(gone.release.events(), "watchdog.pulled")["holder"] == WAVE
    there = {(p.service, p.version): p for p in gone.without_airflow.placements}
    assert {version for _, version in there} == {"1.0.0", "1.1.0"}, "it is stopped by the rollback"
    assert ("workers", "1.0.0") in there
    assert ("workers", "1.1.0") not in there, "a weight does not keep it from the queue"
    for (service, version), placed in there.items():
        is_alone = (service, "1.0.0") not in there
        assert placed.weight_percent == (100 if version == "1.0.0" or is_alone else 0), service


def test_when_airflow_was_back_its_run_took_the_release_back(here: Stage, gone: Gone) -> None:
    assert (gone.outcome, gone.state) == ("ROLLED BACK", "failed")
    events = gone.release.events()
    assert "nobody has renewed the lease" in observer.last(events, "release.outcome")["reason"]
    snapshot = observer.last(events, "snapshot.taken")
    assert here.machine.target("production").observe().to_json() == snapshot["deployment"]


def test_nothing_of_the_release_went_forward_after_the_lapse(gone: Gone) -> None:
    events = gone.release.events()
    lapsed = next(event["seq"] for event in events if event["kind"] == "watchdog.lapsed")
    later = [event for event in events if event["seq"] > lapsed]
    holders = [event["data"]["holder"] for event in later if event["kind"] == "token.taken"]
    assert {holder.partition(".")[0] for holder in holders} <= {"watchdog", "rollback"}
    assert not [event for event in later if event["kind"] == "gate.verdict"]


def test_everything_else_holds_and_no_client_was_failed(gone: Gone) -> None:
    assert gone.release.violations(gone.outcome, gone.state) == []


def _airflow(here: Stage) -> Iterator[psutil.Process]:
    """Its supervisor first, then every process of it and of its database."""
    folders = [str(here.home.root / name) for name in ("airflow", "postgres")]
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
