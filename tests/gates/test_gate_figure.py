"""Figures are written so that a person can compare them: no exponent where there need be none."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.gates.figure import figure


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (1e-9, "<0.001"),
        (0.5012, "0.501"),
        (20, "20"),
        (76.44, "76.4"),
        (999.7, "1000"),
        (1200, "1200"),
        (4216.3, "4220"),
        (999_400, "999000"),
        (999_600, "1e6"),
        (17_300_000, "1.73e7"),
        (1e12, "1e12"),
        (math.inf, "inf"),
    ],
)
def test_a_figure_is_written_out_below_a_million_and_in_one_form_above(value: float, written: str) -> None:
    assert figure(value) == written


def test_what_a_plan_states_is_not_rounded_to_three_digits() -> None:
    assert figure(123_456, 6) == "123456"


@given(st.floats(min_value=0, max_value=999_499, allow_nan=False), st.integers(min_value=3, max_value=6))
def test_no_figure_below_a_million_has_an_exponent(value: float, digits: int) -> None:
    assert "e" not in figure(value, digits)
