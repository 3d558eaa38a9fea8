"""What is not restored yet is looked at again: a smoke test that fails, which forward stops the release, or a process that is
down at that moment. What is wrong for good is said at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from roundtrip.errors import NotYetRestoredError, RollbackError, SmokeError
from roundtrip.plan.deployment import Deployment
from roundtrip.release import Release
from roundtrip.rollback import proving, state
from tests.rollback.conftest import ENVIRONMENT, Reached

AWAY = SmokeError(
    "status: expected 202, got 503", where="POST /api/orders", remedy="look at the service's log"
)


@pytest.mark.parametrize("step", [proving.restore_ui, proving.smoke_restored])
def test_what_the_restored_version_does_not_do_yet_may_be_asked_again(
    reached: Reached, monkeypatch: pytest.MonkeyPatch, step: Callable[[Release], None]
) -> None:
    asked: list[tuple[str, str, Sequence[str]]] = []

    def fails(_: Release, stage: str, version: str, names: Sequence[str]) -> None:
        asked.append((stage, version, names))
        raise AWAY

    monkeypatch.setattr(proving, "run_smoke", fails)
    with pytest.raises(NotYetRestoredError) as raised:
        step(reached.release)
    assert raised.value.retriable
    assert not AWAY.retriable
    assert (raised.value.what, raised.value.where, raised.value.remedy) == (
        AWAY.what,
        AWAY.where,
        AWAY.remedy,
    )
    [(stage, version, _)] = asked
    assert (stage, version) == ("production", "1.0.0")


@pytest.fixture
def proven_but_for_the_last_look(reached: Reached) -> Reached:
    """Everything before the comparison with the snapshot is done."""
    ledger, release = reached.release.ledger, reached.release.id
    ledger.append_once(release, "rollback.begun", "rollback", {"why": "the test", "stages": ["production"]})
    for test in (*proving.UI_SMOKE, *proving.STABLE_SMOKE):
        ledger.append_once(release, "smoke.result", f"{ENVIRONMENT}/1.0.0/{test}", {"ok": True, "detail": ""})
    state.revert_state(reached.release)
    return reached


def test_a_process_that_is_down_as_it_is_compared_is_looked_for_again(
    proven_but_for_the_last_look: Reached,
) -> None:
    reached = proven_but_for_the_last_look
    whole = reached.target.observe()
    for p in whole.placements:
        there = tuple(one for one in whole.placements if one != p)
        reached.target._write(Deployment(there, whole.flags))
        with pytest.raises(NotYetRestoredError, match=f"{p.service} 1.0.0: expected .*, got None"):
            proving.verify_restored(reached.release)
    reached.target._write(whole)
    proving.verify_restored(reached.release)
    assert reached.release.ledger.last(reached.release.id, "rollback.verified", ENVIRONMENT) is not None


def test_a_route_of_another_plan_bars_nothing_and_is_said(
    proven_but_for_the_last_look: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = proven_but_for_the_last_look
    routes = {**reached.target.routes(), "PathPrefix(`/old`)": "api"}
    monkeypatch.setattr(reached.target, "routes", lambda: routes)
    proving.verify_restored(reached.release)
    verified = reached.release.ledger.last(reached.release.id, "rollback.verified", ENVIRONMENT)
    assert verified is not None
    assert verified.data["routes"] == {"differences": ["PathPrefix(`/old`): nobody before, api now"]}


def test_a_snapshot_from_before_there_were_routes_bars_nothing_and_that_is_said(
    proven_but_for_the_last_look: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = proven_but_for_the_last_look
    older = replace(proving.snapshot_of(reached.release, "production"), routes=None)
    monkeypatch.setattr(proving, "snapshot_of", lambda *_: older)
    proving.verify_restored(reached.release)
    verified = reached.release.ledger.last(reached.release.id, "rollback.verified", ENVIRONMENT)
    assert verified is not None
    assert verified.data["routes"] == {"differences": ["the snapshot has no routes to compare with"]}


def test_a_key_that_is_not_as_it_was_is_said_at_once(proven_but_for_the_last_look: Reached) -> None:
    reached = proven_but_for_the_last_look
    reached.client.set("nobody:knows", "1")
    reached.target._write(Deployment())
    with pytest.raises(RollbackError, match=r"Redis nobody:knows: was not there before") as raised:
        proving.verify_restored(reached.release)
    assert not raised.value.retriable
    assert reached.release.ledger.last(reached.release.id, "rollback.verified", ENVIRONMENT) is None
