"""Laws of the plots: nothing that matters is lost when they are thinned, and ticks are round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.dossier.plots import MOST_POINTS, nice_step, thinned

curves = st.lists(st.floats(-3, 12), min_size=1, max_size=3000).map(
    lambda ys: list(enumerate(map(float, ys)))
)


@given(curves)
def test_thinning_keeps_the_ends_the_extremes_and_the_order(points: list[tuple[float, float]]) -> None:
    kept = thinned(points)
    assert len(kept) <= 2 * MOST_POINTS
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert min(y for _, y in kept) == min(y for _, y in points)
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)
    assert set(kept) <= set(points)


@given(st.floats(0.001, 1e9))
def test_a_step_is_round_and_divides_into_at_most_five(most: float) -> None:
    step = nice_step(most)
    assert most / step <= 5.01
    assert float(f"{step:e}".partition("e")[0]) == pytest.approx(round(float(f"{step:e}".partition("e")[0])))
