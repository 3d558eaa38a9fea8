"""Figures beside the plan: they hold for what they were simulated with, and are never shown for anything else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from roundtrip.errors import HostError, PlanError
from roundtrip.plan.environment import Environment, Traffic
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate, Plan
from roundtrip.rollout import stored_figures
from roundtrip.rollout.calibration import calibrations
from roundtrip.rollout.decidable import gates_of
from roundtrip.rollout.figures import Calibration, Ends, NotSimulated, Simulation
from roundtrip.rollout.stored_figures import CALIBRATED, NOT_CALIBRATED, OTHER_SETTINGS, Stored, known, store

INCLUDE = Path(__file__).parents[2] / "include"
STAGES = ("staging", "production")
NOW = datetime(2026, 11, 25, 22, 0, tzinfo=UTC)
GATES = {
    "staging": ("staging.canary",),
    "production": ("production.wave_1", "production.wave_2", "production.wave_3", "production.soak"),
}


def plan() -> Plan:
    return load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")


def places() -> dict[str, Environment]:
    return {stage: load_environment(INCLUDE / "environments" / f"local_{stage}.yaml") for stage in STAGES}


@dataclass(frozen=True)
class Here:
    """What would be a release."""

    plan: Plan = field(default_factory=plan)
    places: dict[str, Environment] = field(default_factory=places)

    def environment(self, stage: str) -> Environment:
        return self.places[stage]

    def with_gate(self, name: str, **changes: Any) -> Here:
        gate = Gate.model_validate({**self.plan.gates[name].model_dump(), **changes})
        return Here(
            self.plan.model_copy(update={"gates": {**self.plan.gates, name: gate}}), dict(self.places)
        )

    def with_production(self, **changes: Any) -> Here:
        return Here(
            self.plan,
            {**self.places, "production": self.places["production"].model_copy(update=changes)},
        )


def figures(here: Here, stage: str) -> Stored:
    """Figures that hold, with numbers that nobody simulated."""
    gates = [
        Calibration(
            stage=stage,
            step=step,
            gate=name,
            valid_for=stored_figures.valid_for(here, stage, step) or "",
            alone=(),
            runs=100,
            stated_false_alarm=0.01,
            false_alarms=0,
            false_alarm_interval=(0.0, 0.037),
            passes=Ends(median_seconds=24, late_seconds=None, share=0.9),
            detections=(),
        )
        for its_stage, name, step, _ in gates_of(here.plan)
        if its_stage == stage
    ]
    return Stored(
        plan=here.plan.name,
        environment=here.environment(stage).name,
        command="./roundtrip calibrate",
        calibrated_at=NOW,
        simulation=Simulation(runs=100, error_rate=0.001, seed=1),
        gates=tuple(gates),
        not_simulated=(),
    )


def states(here: Here, folder: Path) -> dict[str, str]:
    """Of every gate."""
    return {
        gate_id: known(here, stage, gate_id, folder)["state"] for stage in STAGES for gate_id in GATES[stage]
    }


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A folder with figures that hold."""
    for stage in STAGES:
        store(figures(Here(), stage), tmp_path)
    return tmp_path


def test_figures_that_hold_are_given_with_what_they_assume(kept: Path) -> None:
    assert set(states(Here(), kept).values()) == {CALIBRATED}
    found = known(Here(), "production", "production.wave_2", kept)
    assert Calibration.model_validate(found["figures"]).step == "wave 2"
    assert found["simulation"] == {"runs": 100, "error_rate": 0.001, "seed": 1}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert len(json.dumps(found)) < 10_000


@pytest.mark.parametrize(
    ("changed", "stale"),
    [
        (Here().with_gate("staging-canary", false_alarm=0.02), {"staging.canary"}),
        (Here().with_gate("soak", false_pass=0.1), {"production.soak"}),
        (Here().with_gate("production-wave", interval_seconds=2), set(GATES["production"])),
        (Here().with_production(soak_seconds=21), {"production.soak"}),
        (Here().with_production(traffic=Traffic(requests_per_second=81)), set(GATES["production"])),
        (
            Here().with_production(expected_requests_per_second={"workers": 5}),
            set(GATES["production"]),
        ),
    ],
    ids=["gate", "soak-gate", "waves-and-what-they-record", "soak", "traffic", "one-service"],
)
def test_figures_of_other_settings_are_said_to_be_and_not_given(
    changed: Here, stale: set[str], kept: Path
) -> None:
    assert {gate_id for gate_id, state in states(changed, kept).items() if state == OTHER_SETTINGS} == stale
    for gate_id in stale:
        assert "figures" not in known(changed, gate_id.partition(".")[0], gate_id, kept)
    stage = next(iter(stale)).partition(".")[0]
    which = "" if stale == set(GATES[stage]) else f": {', '.join(stale)}"
    assert stored_figures.standing(changed, stage, kept) == f"{OTHER_SETTINGS}{which}"


def test_what_no_request_can_meet_leaves_figures_as_they_are(kept: Path) -> None:
    changed = Here().with_gate("production-wave", stale_seconds=7, guard_rails=[])
    assert set(states(changed, kept).values()) == {CALIBRATED}


def test_where_nothing_is_stored_or_the_traffic_is_no_longer_stated_nothing_holds(
    tmp_path: Path, kept: Path
) -> None:
    empty = tmp_path / "empty"
    assert known(Here(), "staging", "staging.canary", empty) == {
        "state": NOT_CALIBRATED,
        "why": "no figures are stored for local_staging",
    }
    silent = Here().with_production(traffic=None)
    assert states(silent, kept)["production.wave_1"] == OTHER_SETTINGS
    assert stored_figures.standing(Here(), "staging", empty) == NOT_CALIBRATED


def test_a_gate_that_was_not_simulated_says_why(tmp_path: Path) -> None:
    some = figures(Here(), "production")
    why = NotSimulated(stage="production", step="soak", why="86520 samples a gate")
    store(some.model_copy(update={"gates": some.gates[:3], "not_simulated": (why,)}), tmp_path)
    found = known(Here(), "production", "production.soak", tmp_path)
    assert found == {"state": NOT_CALIBRATED, "why": "86520 samples a gate"}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"plan": "x"}'])
def test_a_file_that_is_no_file_of_figures_stops_no_gate_and_is_replaced(text: str, tmp_path: Path) -> None:
    path = stored_figures.file_of(Here().plan.name, "local_staging", tmp_path)
    path.write_text(text, encoding="utf-8")
    found = known(Here(), "staging", "staging.canary", tmp_path)
    assert found["state"] == NOT_CALIBRATED
    assert "is no file of figures" in found["why"]
    with pytest.raises(PlanError, match="is no file of figures"):
        stored_figures.stored(Here().plan.name, "local_staging", tmp_path)
    store(figures(Here(), "staging"), tmp_path)
    assert known(Here(), "staging", "staging.canary", tmp_path)["state"] == CALIBRATED


def test_the_same_figures_stored_again_change_nothing(tmp_path: Path) -> None:
    one = figures(Here(), "staging")
    path = store(one, tmp_path)
    before, inode = path.read_bytes(), path.stat().st_ino
    assert store(one.model_copy(update={"calibrated_at": NOW + timedelta(days=1)}), tmp_path) == path
    assert (path.read_bytes(), path.stat().st_ino) == (before, inode)
    store(one.model_copy(update={"command": "another"}), tmp_path)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(HostError, match="cannot be written"):
        store(figures(Here(), "staging"), tmp_path / "file")


def test_the_project_s_own_figures_hold_and_are_what_the_simulation_gives() -> None:
    """When this fails after a change of plan, environment or judge: ./roundtrip calibrate --store."""
    here = Here()
    assert [stored_figures.standing(here, stage) for stage in STAGES] == [CALIBRATED, CALIBRATED]
    kept = stored_figures.stored(here.plan.name, "local_staging")
    assert kept is not None
    assert kept.gates[0] == next(calibrations(here, kept.simulation))


def test_figures_are_not_taken_for_plans() -> None:
    folder = stored_figures.file_of("any", "where").parent
    assert folder.parent == INCLUDE / "plans"
    assert not list(folder.glob("*.yaml"))
