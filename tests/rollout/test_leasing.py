"""A release in production holds a lease while it stands there, and goes nowhere once it has lapsed."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip import lease
from roundtrip.errors import StaleTokenError
from roundtrip.lease import Lease
from roundtrip.plan.deployment import Deployment
from roundtrip.production import rollout
from roundtrip.release import Release
from roundtrip.rollout import leasing, outcome
from roundtrip.rollout.gating import judge
from tests.rollout.test_gating import release_of

LAPSE = {"environment": "local_production", "reason": "nobody has renewed the lease for 60 s"}


def folder(release: Release) -> Path:
    return release.home.environment(release.environment("production").name)


def mark(release: Release) -> tuple[str, str] | None:
    renewal = lease.last_renewal(folder(release), release.id)
    return (renewal.mark, renewal.holder) if renewal else None


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return release_of(tmp_path, None)


def test_it_says_all_that_is_needed_to_take_it_back(release: Release) -> None:
    leasing.hold(release, Deployment(), "production.wave_1")
    held = lease.read(folder(release))
    assert held is not None
    assert (held.release, held.seconds, held.version) == ("r1", 60.0, "1.1.0")
    assert held.ledger == release.ledger.url
    assert type(release.plan).model_validate(held.plan) == release.plan
    place = release.environment("production")
    assert type(place).model_validate(held.environment) == place


def test_a_step_renews_it_from_its_beginning_to_its_end_and_no_longer(release: Release) -> None:
    leasing.hold(release, Deployment(), "production.wave_1")
    before = mark(release)
    with leasing.renewed(release, "production.flags_on"):
        for _ in range(1000):
            if mark(release) != before:
                break
            threading.Event().wait(0.01)
        assert mark(release)[1] == "production.flags_on"
    assert not [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_a_step_without_a_lease_or_without_production_renews_nothing(release: Release) -> None:
    with leasing.renewed(release, "checklist"):
        assert mark(release) is None
    drill = replace(release, environments={"staging": release.environment("production")})
    with leasing.renewed(drill, "staging.deploy"):
        pass
    leasing.end(drill)


def test_a_gate_renews_it_with_its_samples(release: Release) -> None:
    leasing.hold(release, Deployment(), "production.wave_1")
    judged(release)
    assert mark(release)[1] == "soak"


def test_a_gate_whose_traffic_was_taken_back_ends_with_the_reason_and_no_verdict(release: Release) -> None:
    release.ledger.append_once("r1", leasing.LAPSED, "local_production", LAPSE)
    with pytest.raises(StaleTokenError, match="nobody has renewed the lease for 60 s"):
        judged(release)
    assert release.ledger.last("r1", "gate.verdict") is None
    assert release.ledger.last("r1", "gate.sample") is None


def test_so_does_one_of_which_the_ledger_does_not_know_yet(release: Release) -> None:
    leasing.hold(release, Deployment(), "production.wave_1")
    held = lease.read(folder(release))
    assert held is not None
    lease.note_taken_back(folder(release), held, {"holder": "soak"})
    with pytest.raises(StaleTokenError, match="the ledger does not know of it yet"):
        judged(release)
    lease.forget_taken_back(folder(release))
    judged(release)


def test_what_was_taken_back_of_another_release_is_not_this_ones(release: Release) -> None:
    other = Lease("r0", release.ledger.url, 60.0, "1.1.0", {}, {}, {})
    lease.note_taken_back(folder(release), other, {"holder": "soak"})
    leasing.hold(release, Deployment(), "production.wave_1")
    judged(release)


def test_nothing_goes_forward_after_a_lapse_and_it_is_the_reason_of_the_outcome(release: Release) -> None:
    release.ledger.append_once("r1", "deployed", "local_production", {"version": "1.1.0"})
    release.ledger.append_once("r1", leasing.LAPSED, "local_production", LAPSE)
    with pytest.raises(StaleTokenError, match="has taken the traffic back"):
        leasing.hold(release, Deployment(), "production.wave_2")
    release.ledger.append_once("r1", "candidate.chosen", "c", {"commit": "c"})
    with pytest.raises(StaleTokenError, match=r"watchdog\.lapsed is in the ledger"):
        rollout.merge(release)
    assert "nobody has renewed the lease for 60 s" in outcome.decide(release).reason


def judged(release: Release) -> None:
    async def authorize(connection: str) -> str:
        raise AssertionError(connection)

    asyncio.run(judge(release, "production", "soak", "soak", lambda _: None, authorize=authorize))
