"""What a step of the way back says that it left, also where it could change nothing."""

from __future__ import annotations

from dataclasses import replace

from roundtrip.plan.deployment import Deployment
from roundtrip.rollback import restoring
from tests.rollback.conftest import ENVIRONMENT, Reached

NOTHING = "no other version runs here, nothing to move traffic to until 1.0.0 is deployed"


def told(reached: Reached) -> str:
    event = reached.release.ledger.last(reached.release.id, "rollback.step")
    assert event is not None
    return str(event.data["detail"])


def test_a_new_version_that_runs_alone_keeps_its_traffic_and_that_is_said(reached: Reached) -> None:
    reached.runs("1.1.0")
    promoted = {"environment": ENVIRONMENT, "observed": reached.target.observe().to_json()}
    reached.release.ledger.append(reached.release.id, "converge.finished", promoted)
    restoring.begin(reached.release, "the test says so")
    restoring.pull_traffic(reached.release)
    restoring.stop_new_services(reached.release)
    assert told(reached).endswith(f"; {NOTHING}")
    assert "1.1.0 × 1 at 100 %" in told(reached)


def test_where_the_stable_version_runs_there_is_nothing_to_excuse(reached: Reached) -> None:
    restoring.begin(reached.release, "the test says so")
    restoring.pull_traffic(reached.release)
    assert "1.0.0 × 1 at 100 %" in told(reached)
    assert "no other version" not in told(reached)


def test_services_of_which_no_other_version_runs_are_named(reached: Reached) -> None:
    plan = reached.release.plan
    api, *others = reached.target.observe().placements
    now = Deployment((replace(api, version=plan.to_version), *others))
    assert restoring._not_moved(now, plan) == f"; {NOTHING.replace('version', 'version of api', 1)}"
