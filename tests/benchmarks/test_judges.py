"""The rules that our judge is compared with do what their projects publish, and the traffic what it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.judges.__main__ import joined, tuned, wilson
from benchmarks.judges.peers import Argo, Flagger, Kayenta
from benchmarks.judges.traffic import NOISES, Cell, draw
from roundtrip.gates.many import Arms


def minutes(*bad: int, total: int = 10, stable: int = 1, length: int = 0) -> Arms:
    """One run with `total` canary requests a second, and so many bad ones in the first second of each minute."""
    length = length or len(bad)
    canary = np.full((1, 60 * length), total, dtype=np.int64)
    canary_bad = np.zeros_like(canary)
    for minute in range(length):
        canary_bad[0, 60 * minute] = bad[minute % len(bad)]
    stable_bad = np.zeros_like(canary)
    stable_bad[0, ::60] = np.arange(length) % 2 * stable
    return Arms(canary, canary_bad, canary * 9, stable_bad)


def test_argo_fails_with_one_failed_measurement_more_than_its_limit() -> None:
    arms = minutes(0, 600, 0, 600, 600)
    assert Argo().failed(arms)[0] == 120
    assert Argo(failure_limit=2).failed(arms)[0] == 300
    assert Argo(failure_limit=3).failed(arms)[0] == math.inf


def test_argo_calls_an_empty_minute_failed_and_a_series_that_was_never_there_an_error() -> None:
    silent = minutes(*[0] * 8, total=0)
    assert Argo().failed(silent)[0] == 300
    silent.canary[0, 70] = 1
    assert Argo().failed(silent)[0] == 180


def test_flagger_rolls_back_one_interval_after_its_last_failed_check() -> None:
    arms = minutes(0, 7, 7, 0, 7, 0, 0)
    assert Flagger(threshold=1).failed(arms)[0] == 180
    assert Flagger(threshold=3).failed(arms)[0] == 360
    assert Flagger().failed(arms)[0] == math.inf
    assert Flagger(threshold=1).failed(minutes(0, 6, 0))[0] == math.inf


def test_kayenta_says_high_only_at_the_end_and_only_of_a_shift() -> None:
    same = minutes(1, 0, length=60)
    worse = minutes(9, 8, length=60)
    assert Kayenta().failed(same)[0] == math.inf
    assert Kayenta().failed(worse)[0] == 3600


@pytest.mark.parametrize("per_second", [0.2, 5.0])
def test_a_tuned_rule_fails_no_more_harmless_runs_than_it_is_tuned_to(per_second: float) -> None:
    arms = draw(Cell(NOISES[3], per_second), 200, 1)
    for rule in tuned(arms).values():
        assert np.isfinite(rule(arms)).sum() <= 2


def test_noise_leaves_the_mean_and_shared_noise_moves_both_arms() -> None:
    for noise in NOISES[:5]:
        arms = draw(Cell(noise, 50.0), 60, 2)
        assert arms.canary_bad.sum() / arms.canary.sum() == pytest.approx(0.005, rel=0.05)
        assert arms.stable.sum() / arms.canary.sum() == pytest.approx(9, rel=0.01)
    shared, single = (draw(Cell(noise, 50.0), 60, 2) for noise in (NOISES[1], NOISES[3]))

    def together(arms: Arms) -> float:
        return float(np.corrcoef(arms.canary_bad.ravel(), arms.stable_bad.ravel())[0, 1])

    assert together(shared) > 0.05 > together(single)


def test_the_same_seed_draws_the_same_runs() -> None:
    one, same, other = (draw(Cell(NOISES[4], 5.0), 3, seed) for seed in (1, 1, 2))
    assert (one.canary_bad == same.canary_bad).all()
    assert not (one.canary == other.canary).all()
    assert joined([one, other]).canary.shape == (6, 3600)


def test_wilsons_interval_is_the_textbooks() -> None:
    assert wilson(0, 100) == pytest.approx((0.0, 0.0370), abs=1e-4)
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
