"""Laws of the calibration: it is of the gates that a release gets, and says what became of every run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from roundtrip.errors import GateError, PlanError
from roundtrip.gates.history import Outcomes, judged
from roundtrip.gates.many import Arms, Recorded
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate
from roundtrip.release import Release
from roundtrip.rollout import calibration
from roundtrip.rollout.calibration import HARMS, calibrations
from roundtrip.rollout.figures import Calibration, NotSimulated, Simulation

INCLUDE = Path(__file__).parents[2] / "include"
SIMULATION = Simulation(runs=50, error_rate=0.001, seed=1)
BY_CHANCE = 0.05
"""of fifty runs; a harm that the plan tolerates fails no more often than none"""
FEW = Simulation(runs=20, error_rate=0.001, seed=1)


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
    each = list(calibrations(release, SIMULATION))
    assert all(isinstance(one, Calibration) for one in each)
    return [one for one in each if isinstance(one, Calibration)]


def with_gate(release: Release, name: str, **changes: Any) -> Release:
    """The release with other settings of a gate of the plan, which the environment no longer changes."""
    gate = Gate.model_validate({**release.plan.gates[name].model_dump(), **changes})
    plan = release.plan.model_copy(update={"gates": {**release.plan.gates, name: gate}})
    places = {
        stage: one.model_copy(update={"gates": {n: times for n, times in one.gates.items() if n != name}})
        for stage, one in release.environments.items()
    }
    return replace(release, plan=plan, environments=places)


def in_production(release: Release) -> Release:
    """With nothing to simulate in staging but a second."""
    return with_gate(release, release.plan.staging.gate, minimum_seconds=0, deadline_seconds=2)


def test_every_gate_is_simulated_also_those_whose_canary_runs_alone(found: list[Calibration]) -> None:
    assert [(one.stage, one.step) for one in found] == [
        ("staging", "canary"),
        ("production", "wave 1"),
        ("production", "wave 2"),
        ("production", "wave 3"),
        ("production", "soak"),
    ]
    from_front_door = ("api-errors", "api-slow", "ops-ui-errors", "ops-ui-slow")
    assert [one.alone for one in found] == [(), (), (), from_front_door, from_front_door]


def test_a_healthy_version_passes_and_its_false_alarms_are_as_stated(found: list[Calibration]) -> None:
    for one in found:
        assert one.false_alarm_interval[0] <= one.stated_false_alarm == 0.01
        assert one.passes.share + one.false_alarms / one.runs == pytest.approx(1)
        assert one.passes.median_seconds is not None
        assert one.passes.late_seconds is not None
        assert 0 < one.passes.median_seconds <= one.passes.late_seconds < 120


def test_each_harm_of_each_metric_is_there_and_a_larger_one_is_not_found_later(
    release: Release, found: list[Calibration]
) -> None:
    for one in found:
        metrics = [metric.name for metric in release.plan.gates[one.gate].metrics]
        assert [(f.metric, f.bad_share) for f in one.detections] == [(m, h) for m in metrics for h in HARMS]
        assert one.harms == HARMS
        for detections in one.by_metric().values():
            shares = [detection.fails.share for detection in detections]
            assert all(late >= early - BY_CHANCE for early, late in pairwise(shares))
            assert shares[-1] > 0.9
        assert all(0 <= f.fails.share + f.passed_share <= 1 for f in one.detections)


def test_the_same_seed_gives_the_same_figures_and_another_one_others(
    release: Release, found: list[Calibration]
) -> None:
    again, other = (
        next(calibrations(release, Simulation(runs=50, error_rate=0.001, seed=seed))) for seed in (1, 2)
    )
    assert again == found[0]
    assert other != found[0]


def test_figures_are_plain_json_without_an_infinite_number(found: list[Calibration]) -> None:
    for one in found:
        text = json.dumps(one.model_dump(mode="json"), allow_nan=False)
        assert Calibration.model_validate_json(text) == one


def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Gate, Mapping[str, Arms], Mapping[str, Recorded]]]:
    """What is judged from now on."""
    seen = []

    def noting(
        gate: Gate, histories: Mapping[str, Arms], recorded: Mapping[str, Recorded], *, to_first_verdict: bool
    ) -> Outcomes:
        seen.append((gate, histories, recorded))
        return judged(gate, histories, recorded, to_first_verdict=to_first_verdict)

    monkeypatch.setattr(calibration, "judged", noting)
    return seen


def test_what_is_drawn_at_once_does_not_grow_with_the_deadline(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = noted(monkeypatch)
    monkeypatch.setattr(calibration, "CELLS", 20_000)
    one = next(calibrations(release, FEW))
    assert isinstance(one, Calibration)
    drawn = [next(iter(histories.values())).canary.size for _, histories, _ in seen]
    seconds = release.environment("staging").gates[one.gate].deadline_seconds
    assert seconds is not None
    kinds = len(one.detections) + 1
    assert sum(drawn) == one.runs * kinds * seconds
    assert len(drawn) > 1
    assert max(drawn) <= 20_000


def test_a_canary_alone_is_compared_with_what_the_healthy_waves_counted_of_stable(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = noted(monkeypatch)
    found = list(calibrations(in_production(release), FEW))
    waves = [one for one in found if isinstance(one, Calibration) and one.step in ("wave 1", "wave 2")]
    assert len(waves) == 2
    # 64 requests/s go to the api; 92.5 % and 62.5 % of them to stable, each wave until it passes.
    expected = sum(64 * share * _mean_pass(one) for share, one in zip((0.925, 0.625), waves, strict=True))
    for gate, histories, recorded in seen[3:]:
        assert set(recorded) == {"api-errors", "api-slow", "ops-ui-errors", "ops-ui-slow"}
        assert not any(histories[name].stable.any() for name in recorded)
        assert histories["order-errors"].stable.any(), gate
        before = recorded["api-errors"]
        assert before.total.mean() == pytest.approx(expected, rel=0.15)
        assert before.bad.sum() / before.total.sum() == pytest.approx(0.001, rel=0.5)
    assert all(recorded == {} for _, _, recorded in seen[:3])


def _mean_pass(one: Calibration) -> float:
    assert one.passes.median_seconds is not None
    return one.passes.median_seconds


def test_a_gate_that_no_healthy_version_reaches_is_named_with_the_reason(release: Release) -> None:
    hasty = with_gate(release, "production-wave", warm_up_seconds=0, minimum_seconds=0, deadline_seconds=2)
    found = list(calibrations(hasty, FEW))
    assert [one.step for one in found if isinstance(one, NotSimulated)] == ["wave 3", "soak"]
    first, second = (one.why for one in found if isinstance(one, NotSimulated))
    assert first.startswith("no healthy version passes the gates before it")
    assert second.startswith("what a gate before it records of stable is not simulated")


def test_a_gate_of_days_is_named_and_not_simulated(release: Release) -> None:
    place = release.environments["production"].model_copy(update={"soak_seconds": 86_400})
    days = replace(release, environments={**release.environments, "production": place})
    *_, soak = calibrations(in_production(days), FEW)
    assert isinstance(soak, NotSimulated)
    assert soak.why == "86520 samples a gate, at most 20000 are simulated"


def test_bursts_are_drawn_as_the_plan_declares_them(
    release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one version alone, 5 s long, at most three times the other's rate: bad ones come together."""
    seen = noted(monkeypatch)
    name = release.plan.staging.gate
    one = [release.plan.gates[name].metrics[0].model_dump()]
    settled = {"metrics": one, "minimum_seconds": 0, "warm_up_seconds": 0, "deadline_seconds": 60}
    bursts = {"noise": "bursts", "burst_seconds": 5, "burst_ratio": 3}
    much = Simulation(runs=50, error_rate=0.1, seed=1)
    next(calibrations(with_gate(release, name, **settled), much))
    next(calibrations(with_gate(release, name, **settled, **bursts), much))
    (_, even, _), (_, uneven, _) = seen
    assert _spread(even["api-errors"]) == pytest.approx(1, abs=0.15)
    assert _spread(uneven["api-errors"]) > 1.5
    arms = uneven["api-errors"]
    total, bad = (each[:50].sum() for each in (arms.stable, arms.stable_bad))
    assert 0.07 < bad / total < 0.1


def _spread(arms: Arms) -> float:
    """Of stable's bad ones in 5 s, the variance against that of independent requests."""
    total, bad = (each[:50].reshape(50, 12, 5).sum(axis=2) for each in (arms.stable, arms.stable_bad))
    rate = bad.sum() / total.sum()
    return float(np.mean((bad - rate * total) ** 2) / (rate * (1 - rate) * total.mean()))


def test_an_environment_that_states_no_traffic_is_refused(release: Release) -> None:
    silent = {stage: one.model_copy(update={"traffic": None}) for stage, one in release.environments.items()}
    with pytest.raises(PlanError, match=r"expected the requests/s that .* gets, got none"):
        list(calibrations(replace(release, environments=silent), SIMULATION))


def test_a_gate_that_would_have_nothing_to_compare_with_is_refused_as_a_release_would_be(
    release: Release,
) -> None:
    name = release.plan.staging.gate
    strict = [{**m.model_dump(), "absolute_tolerance": 0.0} for m in release.plan.gates[name].metrics]
    changed = with_gate(release, name, metrics=strict, minimum_seconds=0, deadline_seconds=2)
    at_once = changed.plan.staging.model_copy(update={"strategy": "blue-green"})
    plan = changed.plan.model_copy(update={"staging": at_once})
    with pytest.raises(GateError, match="nothing is recorded of stable"):
        list(calibrations(replace(changed, plan=plan), FEW))
