"""What a person sees while a release runs, and where its time went."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.follow import Follower
from roundtrip.commands.phases import Phases
from roundtrip.gates.evidence import Counts, Sample
from tests.commands.airflow_simulator import AirflowSimulator
from tests.commands.conftest import SimulatedMachine, said

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
GATE = {"deadline_seconds": 120.0, "metrics": [{"name": "errors", "kind": "errors"}]}
"""What is read of a gate's settings."""


def task(name: str, state: str, start: int | None, end: int | None) -> dict[str, Any]:
    moment = [None if s is None else (AT + timedelta(seconds=s)).isoformat() for s in (start, end)]
    return {"task_id": name, "state": state, "start_date": moment[0], "end_date": moment[1], "try_number": 1}


@pytest.fixture
def follower(machine: SimulatedMachine, api: AirflowApi, console: Console) -> Follower:
    return Follower(api, machine.ledger, console, "d", "r", "d.r")


def test_tasks_are_shown_once_and_what_did_not_run_is_not(
    follower: Follower, simulator: AirflowSimulator, console: Console
) -> None:
    simulator.runs["d", "r"] = "failed"
    simulator.tasks = [
        task("build.api", "success", 0, 4),
        task("staging.gate", "failed", 5, 6),
        task("sign.tag", "upstream_failed", None, None),
        task("rollback.begin", "skipped", 7, 7),
    ]
    assert follower.follow() == "failed"
    assert said(console).splitlines() == ["✓ build.api 4.0 s", "✗ staging.gate 1.0 s"]


def test_evidence_names_both_arms_what_is_missing_and_the_time_left(
    follower: Follower, machine: SimulatedMachine, simulator: AirflowSimulator, console: Console
) -> None:
    def write(_dag: str, _run: str) -> None:
        ledger = machine.ledger
        began = ledger.append_once("d.r", "gate.started", "canary", {"gate": GATE, "environment": "local"}).at
        sample = Sample(
            number=1,
            at=began + timedelta(seconds=30),
            since=began,
            canary={"errors": Counts(200, 3)},
            stable={"errors": Counts(400, 1)},
            missing={"canary/slow": "no answer"},
        )
        ledger.append_once("d.r", "gate.sample", "canary#1", sample.to_json())
        simulator.runs["d", "r"] = "success"

    # What was there before the following began is not shown again.
    machine.ledger.append("d.r", "rollback.begun", {"why": "an earlier one"})
    simulator.runs["d", "r"] = "running"
    seen = iter([lambda: None, lambda: write("d", "r")])
    follower.api.run_state = lambda *_: (next(seen)(), simulator.runs["d", "r"])[1]  # type: ignore[method-assign]
    follower.follow()
    [line] = said(console).splitlines()
    assert line.strip() == (
        "canary#1: errors canary 3 of 200 (1.50 %), stable 1 of 400 (0.25 %); "
        "canary/slow is missing: no answer; decides within 90 s"
    )


def test_verdicts_failures_and_the_rollback_are_said(
    follower: Follower, machine: SimulatedMachine, console: Console
) -> None:
    ledger = machine.ledger
    for kind, key, data in (
        ("gate.verdict", "canary", {"verdict": "FAIL", "reason": "errors: 9 of 100"}),
        ("task.failed", None, {"task": "staging.gate", "error": "GateError: x"}),
        ("rollback.begun", None, {"why": "a gate failed"}),
    ):
        event = ledger.append_once("d.r", kind, key, data) if key else ledger.append("d.r", kind, data)
        follower._say_event(event)
    assert [line.strip() for line in said(console).splitlines()] == [
        "canary: FAIL: errors: 9 of 100",
        "staging.gate: GateError: x",
        "rollback: a gate failed",
    ]


def test_what_people_ask_of_a_gate_is_said_and_moves_the_time_left(
    follower: Follower, machine: SimulatedMachine, console: Console
) -> None:
    ledger = machine.ledger
    began = ledger.append_once("d.r", "gate.started", "canary", {"gate": GATE, "environment": "local"}).at
    until = (began + timedelta(minutes=3)).isoformat()
    asked = {"gate_id": "canary", "minutes": 1, "by": "ada", "reason": "little traffic"}
    extend = {**asked, "action": "extend", "at": began.isoformat(), "until": until}
    follower._say_event(ledger.append_once("d.r", "gate.action", "run-1", extend))
    refused = {**asked, "action": "override", "by": "eve", "why": "eve may not"}
    follower._say_event(ledger.append_once("d.r", "action.refused", "run-2", refused))
    sample = Sample(1, began + timedelta(seconds=30), began, {}, {})
    follower._say_event(ledger.append_once("d.r", "gate.sample", "canary#1", sample.to_json()))
    assert [line.strip() for line in said(console).splitlines()] == [
        f"canary: extended by ada by 1 min, to {datetime.fromisoformat(until):%H:%M:%S} UTC: little traffic",
        "canary: override by eve was refused: eve may not",
        "canary#1: decides within 150 s",
    ]


def test_the_time_of_a_section_is_from_its_first_to_its_last_moment(
    follower: Follower, simulator: AirflowSimulator, console: Console
) -> None:
    simulator.tasks = [
        task("staging.smoke", "success", 50, 60),
        task("build.api", "success", 10, 20),
        task("build.ui", "success", 12, 45),
        task("sign.tag", "running", 61, None),
    ]
    phases = Phases({"Airflow": 12.34})
    assert follower.sections() == [("build", 35.0), ("staging", 10.0)]
    console.print(phases.table(follower.sections()))
    rows = [line.split() for line in said(console).splitlines()]
    assert [row[1:4:2] for row in rows if len(row) == 5 and row[0] == "│"] == [
        ["Airflow", "12.3"],
        ["build", "35.0"],
        ["staging", "10.0"],
    ]


def test_a_phase_that_ends_with_an_error_is_counted_too() -> None:
    phases = Phases()
    with pytest.raises(ValueError, match="x"), phases.during("repository"):
        raise ValueError("x")
    assert list(phases.seconds) == ["repository"]
