"""Numbers that stand for many gates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roundtrip.gates.summary import Times, wilson


def test_what_never_happened_has_no_time() -> None:
    half = Times.of(np.array([math.inf, 3.0, 1.0, math.inf]))
    assert (half.median, half.late, half.share) == (3.0, math.inf, 0.5)
    assert half.to_json() == {"median_seconds": 3.0, "late_seconds": None, "share": 0.5}
    assert Times.of(np.full(3, math.inf)).to_json() == {
        "median_seconds": None,
        "late_seconds": None,
        "share": 0.0,
    }


def test_the_interval_is_wilsons() -> None:
    # Of 10 in 100, as tabulated: 5.52 % to 17.44 %.
    assert wilson(10, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert wilson(0, 100)[0] == 0.0
