"""A release that cannot be taken back says what serves, what was tried and what to type, in the outcome itself."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from roundtrip.closing import close, close_rollback
from roundtrip.errors import PromotionError, RollbackError, TargetError
from roundtrip.rollback.left import LONGEST_ERROR, left_by
from tests.rollback.conftest import ENVIRONMENT, Reached
from tests.simulators.target import SimulatedTarget

DOES_NOT_START = "TargetError: api 1.0.0: did not answer within 20 s"


def step(reached: Reached, name: str, error: str = "") -> None:
    """A step of the way back, done or failed."""
    ledger, release = reached.release.ledger, reached.release.id
    if error:
        ledger.append(release, "task.failed", {"task": f"rollback.{name}", "error": error})
    else:
        ledger.append(
            release, "rollback.step", {"environment": ENVIRONMENT, "step": name, "detail": "as the test says"}
        )


@pytest.fixture
def stuck(reached: Reached) -> Reached:
    """The new version serves, and the old one does not come up."""
    ledger, release = reached.release.ledger, reached.release.id
    reached.runs("1.1.0")
    ledger.append(release, "task.failed", {"task": "production.promote", "error": "GateError: lost"})
    ledger.append_once(release, "rollback.begun", "rollback", {"why": "a gate failed", "stages": []})
    step(reached, "pull_traffic", "TargetError: nothing to pull to")
    step(reached, "stop_new_services")
    for _ in range(6):
        step(reached, "deploy_last_known_good", DOES_NOT_START)
    return reached


def test_it_names_what_serves_each_step_once_and_a_command(stuck: Reached) -> None:
    left = left_by(stuck.release)
    [(environment, serves)] = left.serves.items()
    assert environment == ENVIRONMENT
    assert "api 1.1.0" in serves
    assert "1.0.0" not in serves
    assert left.tried == (
        "pull_traffic failed: TargetError: nothing to pull to",
        "stop_new_services done",
        f"deploy_last_known_good failed: {DOES_NOT_START}",
    )
    assert left.next == "./roundtrip rollback release_small.r1"


def test_a_step_that_succeeds_at_last_has_only_that(stuck: Reached) -> None:
    step(stuck, "deploy_last_known_good")
    assert left_by(stuck.release).tried[-1] == "deploy_last_known_good done"


def test_before_anything_was_tried_it_says_nothing(reached: Reached) -> None:
    left = left_by(reached.release)
    assert left.tried == ()
    assert str(left).endswith("tried: nothing")


def test_an_environment_that_cannot_be_observed_is_named_with_the_reason(
    stuck: Reached, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: SimulatedTarget) -> None:
        raise TargetError("the proxy does not answer", where=ENVIRONMENT, remedy="./roundtrip up")

    monkeypatch.setattr(SimulatedTarget, "observe", gone)
    [serves] = left_by(stuck.release).serves.values()
    assert serves.startswith("cannot be observed: TargetError: the proxy does not answer")


def test_a_long_error_is_cut(stuck: Reached) -> None:
    step(stuck, "revert_state", "x" * 5000)
    assert len(left_by(stuck.release).tried[-1]) < LONGEST_ERROR + 100


@pytest.mark.parametrize("kind", ["snapshot.taken", "rollback.step", "deployed"])
def test_events_that_were_altered_keep_nobody_from_what_serves(stuck: Reached, kind: str) -> None:
    """The outcome is stated, from nothing that the altered event says."""
    ledger = stuck.release.ledger
    with create_engine(ledger.url).begin() as connection:
        change = "UPDATE roundtrip_events SET data = replace(data, ':', ': ') WHERE kind = :kind"
        connection.execute(text(change), {"kind": kind})
    with pytest.raises(
        PromotionError, match=r"BROKEN: its ledger cannot be trusted: LedgerError: hash"
    ) as raised:
        close(stuck.release)
    outcome = ledger.last(stuck.release.id, "release.outcome")
    assert outcome is not None
    assert outcome.data["outcome"] == "BROKEN"
    [serves] = outcome.data["left"]["serves"].values()
    assert "api 1.1.0" in serves
    assert "api 1.1.0" in str(raised.value)


@pytest.mark.parametrize(("end", "error"), [(close, PromotionError), (close_rollback, RollbackError)])
def test_the_outcome_its_event_and_the_last_line_say_it(stuck: Reached, end, error) -> None:
    with pytest.raises(error) as raised:
        end(stuck.release)
    outcome = stuck.release.ledger.last(stuck.release.id, "release.outcome")
    assert outcome is not None
    assert outcome.data["outcome"] == "BROKEN"
    assert outcome.data["left"]["next"] == "./roundtrip rollback release_small.r1"
    for said in ("api 1.1.0", DOES_NOT_START):
        assert said in outcome.data["reason"]
        assert said in str(raised.value)
    assert "BROKEN: the rollback could not finish" in str(raised.value)
    assert "-> ./roundtrip rollback release_small.r1" in str(raised.value)
