"""Laws of the plots: nothing that matters is lost when they are thinned, and ticks are round."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.dossier.evidence import Point
from roundtrip.dossier.plots import MOST_POINTS, evidence_plot, nice_step, thinned
from roundtrip.gates.evidence import Counts, MetricEvidence

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


@pytest.mark.parametrize("evidence", [0.5, 3.0, 2e9, 1e12])
def test_the_highest_line_of_the_scale_is_not_below_the_evidence(evidence: float) -> None:
    last = MetricEvidence(Counts(), Counts(), evidence, 100.0, 1.0, 20.0)
    points = [Point(second, last, Counts(), Counts()) for second in (0.0, 1.0)]
    drawn = str(evidence_plot(points, "evidence"))
    ys = [float(y) for y in re.findall(r"<text[^>]*>([0-9.e]+)</text>", drawn)]
    assert max(ys) >= evidence
