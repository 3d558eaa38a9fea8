"""What a watchdog does beside every kind of target: a release that nobody looks after any more loses its traffic."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import psutil
import pytest

from roundtrip import lease
from roundtrip.errors import StaleTokenError
from roundtrip.plan.deployment import pulled
from roundtrip.rollout import leasing
from roundtrip.rollout.deploying import deploy
from roundtrip.watchdog.watching import Watch
from tests.watchdog.conftest import Standing


@contextmanager
def clients(standing: Standing) -> Iterator[list[int]]:
    """The status of every answer at the front door meanwhile; 0 for none."""
    answers: list[int] = []
    over = threading.Event()

    def ask() -> None:
        url = f"{standing.target.addresses().front_door}/"
        while not over.is_set():
            try:
                answers.append(httpx.get(url, timeout=5, trust_env=False).status_code)
            except httpx.HTTPError:
                answers.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


def test_traffic_comes_back_when_nobody_renews_and_no_request_fails(standing: Standing) -> None:
    with clients(standing) as answers:
        standing.hold()
        standing.until("traffic back", lambda: standing.weight("1.1.0") == 0)
        standing.until("the ledger to know", lambda: standing.said("watchdog.pulled") is not None)
    assert set(answers) == {200}
    assert standing.weight("1.0.0") == 100
    lapsed, done = standing.said("watchdog.lapsed"), standing.said("watchdog.pulled")
    assert lapsed is not None
    assert done is not None
    assert lapsed.data["holder"] == "production.wave_1"
    assert lapsed.data["seconds"] == leasing.renewal_seconds(standing.release) * leasing.RENEWALS
    left = pulled(standing.wave(), "1.1.0")
    without_workers = tuple(p for p in left.placements if (p.service, p.version) != ("workers", "1.1.0"))
    assert done.data["deployment"] == replace(left, placements=without_workers).to_json()
    assert {(p.service, p.version) for p in standing.target.observe().placements} == {
        ("api", "1.0.0"),
        ("api", "1.1.0"),
        ("workers", "1.0.0"),
    }
    standing.until("the lease to end", lambda: lease.read(standing.folder) is None)


def test_while_it_is_renewed_nothing_happens_and_a_release_that_ended_is_left_alone(
    standing: Standing,
) -> None:
    standing.hold()
    with leasing.renewed(standing.release, "production.wave_1"):
        waited = threading.Event()
        assert not waited.wait(2 * standing.release.plan.production.lease_seconds)  # two terms
    assert standing.weight("1.1.0") == 50
    data = {"environment": standing.place.environment.name, "deployment": {}}
    standing.release.ledger.append_once(standing.release.id, "promoted", "e", data)
    standing.until("the lease to end", lambda: lease.read(standing.folder) is None)
    assert standing.said("watchdog.lapsed") is None
    assert standing.weight("1.1.0") == 50


def test_afterwards_nothing_of_the_release_goes_forward(standing: Standing) -> None:
    standing.hold()
    standing.until("the ledger to know", lambda: standing.said("watchdog.pulled") is not None)
    with pytest.raises(StaleTokenError, match=r"watchdog\.lapsed is in the ledger"):
        deploy(standing.release, "production", standing.wave(), holder="production.wave_2")
    with pytest.raises(StaleTokenError, match="nobody has renewed the lease for 5 s"):
        standing.hold()
    with pytest.raises(StaleTokenError, match="has taken the traffic back"):
        leasing.renew(standing.release, "production.wave_1")
    assert standing.weight("1.1.0") == 0


def test_a_watchdog_that_is_killed_is_back_and_does_it(standing: Standing) -> None:
    standing.hold()
    before = standing.target.infrastructure.daemon.processes()["watchdog"].pid
    killed = psutil.Process(before)
    killed.kill()
    psutil.wait_procs([killed], timeout=10)
    standing.until("traffic back", lambda: standing.weight("1.1.0") == 0)
    assert standing.target.infrastructure.daemon.processes()["watchdog"].pid != before


def test_without_the_ledger_traffic_comes_back_all_the_same_and_is_told_later(standing: Standing) -> None:
    file = standing.place.home.root / "ledger.db"
    aside = file.with_name("ledger.aside")
    standing.hold()
    file.rename(aside)
    file.write_text("no database", encoding="ascii")
    try:
        standing.until("traffic back", lambda: standing.weight("1.1.0") == 0)
        standing.until("it to be kept", lambda: lease.taken_back(standing.folder) is not None)
    finally:
        aside.rename(file)
    standing.until("the ledger to know", lambda: standing.said("watchdog.pulled") is not None)
    standing.until("nothing to be left", lambda: lease.taken_back(standing.folder) is None)
    token = standing.said("watchdog.pulled").data["token"]
    later = standing.release.ledger.take_token(
        standing.place.environment.name, release=standing.release.id, holder="rollback"
    )
    assert later > token
    standing.target.converge(standing.place.whole("1.0.0"), later)


def test_two_at_once_do_it_once(standing: Standing) -> None:
    """Beside the process there is another one that does not know of its lock."""
    standing.hold()
    another, now = Watch(standing.folder), 0.0
    while lease.read(standing.folder) is not None:
        another.look(now)
        now += 0.5
    standing.until("the ledger to know", lambda: standing.said("watchdog.pulled") is not None)
    for kind in ("watchdog.lapsed", "watchdog.pulled"):
        assert len(standing.release.ledger.events(standing.release.id, kind=kind)) == 1
    assert standing.weight("1.1.0") == 0


def test_a_task_that_slept_and_wakes_in_its_converge_is_overtaken(standing: Standing) -> None:
    """It took its token before the lapse, and acts after it."""
    environment, release = standing.place.environment.name, standing.release
    token = release.ledger.take_token(environment, release=release.id, holder="production.wave_2")
    standing.hold()
    standing.until("traffic back", lambda: standing.weight("1.1.0") == 0)
    with pytest.raises(StaleTokenError, match="is older than"):
        standing.target.converge(standing.wave(), token)
    assert standing.weight("1.1.0") == 0
