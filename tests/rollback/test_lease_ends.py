"""Taking a release back ends its lease: without traffic nothing of it has to be watched."""

from __future__ import annotations

from roundtrip import lease
from roundtrip.rollback import restoring
from roundtrip.rollout import leasing
from tests.rollback.conftest import ENVIRONMENT, Reached


def test_the_lease_ends_when_the_traffic_is_back_and_not_before(reached: Reached) -> None:
    release = reached.release
    folder = release.home.environment(ENVIRONMENT)
    leasing.hold(release, reached.target.observe(), "production.wave_1")
    restoring.begin(release, "the test says so")
    assert lease.read(folder) is not None
    restoring.pull_traffic(release)
    assert lease.read(folder) is None


def test_a_release_that_was_never_watched_is_taken_back_as_well(reached: Reached) -> None:
    restoring.begin(reached.release, "the test says so")
    restoring.pull_traffic(reached.release)
    assert reached.release.ledger.last(reached.release.id, "rollback.step") is not None


def test_the_way_back_is_open_after_a_lapse(reached: Reached) -> None:
    """Only the way forward is closed."""
    release = reached.release
    about = {"environment": ENVIRONMENT, "reason": "nobody has renewed the lease for 60 s"}
    release.ledger.append_once(release.id, leasing.LAPSED, ENVIRONMENT, about)
    restoring.begin(release, "the watchdog took the traffic back")
    restoring.pull_traffic(release)
    restoring.stop_new_services(release)
    assert reached.target.observe().versions() == ("1.0.0",)
