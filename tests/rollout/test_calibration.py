"""Laws of the calibration: it is of the gates that a release gets, and says what became of every run."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from roundtrip.errors import PlanError
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.rollout.calibration import (
    HARMS,
    Calibration,
    Place,
    Simulation,
    Times,
    calibrations,
    flow,
    not_simulated,
    wilson,
)
from roundtrip.rollout.decidable import gates_of

INCLUDE = Path(__file__).parents[2] / "include"
SIMULATION = Simulation(runs=100, error_rate=0.001, seed=1)


@pytest.fixture(scope="module")
def place() -> Place:
    environments = {
        stage: load_environment(INCLUDE / "environments" / f"local_{stage}.yaml")
        for stage in ("staging", "production")
    }
    return Place(load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml"), environments)


@pytest.fixture(scope="module")
def found(place: Place) -> list[Calibration]:
    return list(calibrations(place, SIMULATION))


def test_every_gate_is_simulated_or_named(place: Place, found: list[Calibration]) -> None:
    assert [(one.stage, one.step) for one in found] == [
        ("staging", "canary"),
        ("production", "wave 1"),
        ("production", "wave 2"),
    ]
    assert not_simulated(place) == ["production, wave 3", "production, soak"]


def test_a_healthy_version_passes_and_its_false_alarms_are_as_stated(found: list[Calibration]) -> None:
    for one in found:
        assert one.interval[0] <= one.stated_false_alarm == 0.01
        assert one.passes.share + one.false_alarms / one.runs == pytest.approx(1)
        assert 0 < one.passes.median <= one.passes.late < 120


def test_each_harm_of_each_metric_is_there_and_a_larger_one_is_not_found_later(
    place: Place, found: list[Calibration]
) -> None:
    for one in found:
        metrics = [metric.name for metric in place.plan.gates[one.gate].metrics]
        assert [(f.metric, f.bad_share) for f in one.found] == [(m, h) for m in metrics for h in HARMS]
        for metric in metrics:
            shares = [f.fails.share for f in one.found if f.metric == metric]
            assert shares == sorted(shares)
            assert shares[-1] > 0.9
        assert all(0 <= f.fails.share + f.passed_share <= 1 for f in one.found)


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    place: Place, found: list[Calibration]
) -> None:
    again, other = (next(calibrations(place, Simulation(100, 0.001, seed))) for seed in (1, 2))
    assert again == found[0]
    assert other != found[0]


def test_figures_are_plain_json_without_an_infinite_number(found: list[Calibration]) -> None:
    text = json.dumps([one.to_json() for one in found], allow_nan=False)
    assert json.loads(text)[0]["gate"] == found[0].gate


def test_an_environment_that_states_no_traffic_is_refused(place: Place) -> None:
    silent = {stage: one.model_copy(update={"traffic": None}) for stage, one in place.environments.items()}
    with pytest.raises(PlanError, match=r"expected the requests/s that .* gets, got none"):
        list(calibrations(Place(place.plan, silent), SIMULATION))


def test_stated_requests_are_taken_as_they_are(place: Place) -> None:
    stated = place.environments["staging"].model_copy(
        update={"traffic": None, "expected_requests_per_second": {"api": 100.0}}
    )
    metric = next(m for m in place.plan.gates[place.plan.staging.gate].metrics if m.service == "api")
    wave = next(wave for stage, _, _, wave in gates_of(place.plan) if stage == "staging")
    gets = flow(Place(place.plan, {"staging": stated}), "staging", metric, wave)
    assert gets.canary == pytest.approx(wave.traffic_percent)
    assert gets.canary + gets.stable == pytest.approx(100)


def test_what_never_happened_has_no_time() -> None:
    half = Times.of(np.array([1.0, 3.0, math.inf, math.inf]))
    assert (half.median, half.late, half.share) == (3.0, math.inf, 0.5)
    assert half.to_json() == {"median_seconds": 3.0, "late_seconds": None, "share": 0.5}


def test_the_interval_is_wilsons() -> None:
    # Of 10 in 100, as tabulated: 5.52 % to 17.44 %.
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson(0, 100)[0] == 0.0
