"""Laws of the calibration: it is of the gates that a release gets, and says what became of every run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.errors import PlanError
from roundtrip.gates.history import Arms, Outcomes, judged
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate
from roundtrip.release import Release
from roundtrip.rollout import calibration
from roundtrip.rollout.calibration import HARMS, Calibration, Simulation, calibrations, flow, not_simulated
from roundtrip.rollout.decidable import gates_of

INCLUDE = Path(__file__).parents[2] / "include"
SIMULATION = Simulation(runs=100, error_rate=0.001, seed=1)


def nothing(_: object) -> None:
    raise AssertionError("a simulation needs neither target nor secret")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("calibration")
    environments = {
        stage: load_environment(INCLUDE / "environments" / f"local_{stage}.yaml")
        for stage in ("staging", "production")
    }
    plan, ledger = (
        load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml"),
        Ledger(f"sqlite:///{folder / 'ledger.db'}"),
    )
    return Release("r1", plan, environments, ledger, Home(folder), nothing, nothing)


@pytest.fixture(scope="module")
def found(release: Release) -> list[Calibration]:
    return list(calibrations(release, SIMULATION))


def test_every_gate_is_simulated_or_named(release: Release, found: list[Calibration]) -> None:
    assert [(one.stage, one.step) for one in found] == [
        ("staging", "canary"),
        ("production", "wave 1"),
        ("production", "wave 2"),
    ]
    assert not_simulated(release) == ["production, wave 3", "production, soak"]


def test_a_healthy_version_passes_and_its_false_alarms_are_as_stated(found: list[Calibration]) -> None:
    for one in found:
        assert one.interval[0] <= one.stated_false_alarm == 0.01
        assert one.passes.share + one.false_alarms / one.runs == pytest.approx(1)
        assert 0 < one.passes.median <= one.passes.late < 120


def test_each_harm_of_each_metric_is_there_and_a_larger_one_is_not_found_later(
    release: Release, found: list[Calibration]
) -> None:
    for one in found:
        metrics = [metric.name for metric in release.plan.gates[one.gate].metrics]
        assert [(f.metric, f.bad_share) for f in one.detections] == [(m, h) for m in metrics for h in HARMS]
        for metric in metrics:
            shares = [f.fails.share for f in one.detections if f.metric == metric]
            assert shares == sorted(shares)
            assert shares[-1] > 0.9
        assert all(0 <= f.fails.share + f.passed_share <= 1 for f in one.detections)


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    release: Release, found: list[Calibration]
) -> None:
    again, other = (next(calibrations(release, Simulation(100, 0.001, seed))) for seed in (1, 2))
    assert again == found[0]
    assert other != found[0]


def test_figures_are_plain_json_without_an_infinite_number(found: list[Calibration]) -> None:
    text = json.dumps([one.to_json() for one in found], allow_nan=False)
    assert json.loads(text)[0]["gate"] == found[0].gate


def test_what_is_drawn_at_once_does_not_grow_with_the_deadline(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def noting(gate: Gate, histories: Mapping[str, Arms]) -> Outcomes:
        drawn.append(next(iter(histories.values())).canary.size)
        return judged(gate, histories)

    monkeypatch.setattr(calibration, "judged", noting)
    monkeypatch.setattr(calibration, "CELLS", 20_000)
    one = next(calibrations(release, Simulation(runs=20, error_rate=0.001, seed=1)))
    seconds = release.environment("staging").gates[one.gate].deadline_seconds
    assert seconds is not None
    kinds = len(one.detections) + 1
    assert sum(drawn) == one.runs * kinds * seconds
    assert len(drawn) > 1
    assert max(drawn) <= 20_000


def test_an_environment_that_states_no_traffic_is_refused(release: Release) -> None:
    silent = {stage: one.model_copy(update={"traffic": None}) for stage, one in release.environments.items()}
    with pytest.raises(PlanError, match=r"expected the requests/s that .* gets, got none"):
        list(calibrations(replace(release, environments=silent), SIMULATION))


def test_stated_requests_are_taken_as_they_are(release: Release) -> None:
    stated = release.environments["staging"].model_copy(
        update={"traffic": None, "expected_requests_per_second": {"api": 100.0}}
    )
    metric = next(m for m in release.plan.gates[release.plan.staging.gate].metrics if m.service == "api")
    wave = next(wave for stage, _, _, wave in gates_of(release.plan) if stage == "staging")
    gets = flow(replace(release, environments={"staging": stated}), "staging", metric, wave)
    assert gets.canary == pytest.approx(wave.traffic_percent)
    assert gets.canary + gets.stable == pytest.approx(100)
