"""What ends a wait in the triggerer with an error is in the ledger, and is what the outcome names."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent, TriggerEvent

from gates.release_trigger import ReleaseTrigger
from roundtrip.errors import GateError, LedgerError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.release import Release
from roundtrip.rollout.outcome import Outcome, decide

PLAN = "top_tier_trading_1_1_0"
DOWN = GateError("a replica of 1.0.0 is down", where="gate production.wave_1", remedy="start it")


class Waiting(ReleaseTrigger):
    """Ends as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(waits_as="production.wave_1", plan=PLAN, release_id="r1", environment="local")
        self.error = error
        self.release: Release | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        raise NotImplementedError

    async def carry_out(self, release: Release) -> TriggerEvent:
        self.release = release
        if self.error is not None:
            raise self.error
        return TaskSuccessEvent()


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Of an installation in which release r1 goes on."""
    home = Home(tmp_path / "home")
    monkeypatch.setenv("ROUNDTRIP_HOME", str(home.root))
    made = Ledger(home.ledger_url)
    made.append_once("r1", "release.started", "started", {"plan": PLAN})
    return made


def ended(trigger: ReleaseTrigger) -> TriggerEvent:
    async def only() -> TriggerEvent:
        [event] = [event async for event in trigger.run()]
        return event

    return asyncio.run(only())


def test_what_is_waited_for_ends_the_task(ledger: Ledger) -> None:
    assert isinstance(ended(Waiting()), TaskSuccessEvent)
    assert ledger.events("r1", kind="task.failed") == []


def test_an_error_fails_the_task_and_is_recorded_once_and_named_by_the_outcome(ledger: Ledger) -> None:
    trigger = Waiting(DOWN)
    for _ in range(2):  # the second as after a kill between the ledger and Airflow
        event = ended(trigger)
        assert isinstance(event, TaskFailedEvent)
        assert event.xcoms == {"reason": str(DOWN)}
    [failed] = ledger.events("r1", kind="task.failed")
    assert failed.data == {"task": "production.wave_1", "error": str(DOWN)}
    assert trigger.release is not None
    become = decide(trigger.release)
    assert become.outcome is Outcome.STOPPED
    assert str(DOWN) in become.reason


def test_it_fails_also_when_the_ledger_cannot_take_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(Ledger, "append_once", lost)
    event = ended(Waiting(DOWN))
    assert isinstance(event, TaskFailedEvent)
    assert event.xcoms == {"reason": str(DOWN)}


def test_a_bug_is_not_taken_for_an_end(ledger: Ledger) -> None:
    """Airflow fails the task then, with the traceback in its log."""
    with pytest.raises(ZeroDivisionError):
        ended(Waiting(ZeroDivisionError("as a bug would")))
