"""What many gates came to, in few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from roundtrip.gates.many import Floats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Times:
    """Seconds from the start of each gate to a verdict; infinite: never."""

    median: float
    late: float
    """95th percentile"""
    share: float
    """of the gates that came to it"""

    @classmethod
    def of(cls, each: Floats) -> Times:
        """Seconds of each gate, in any order. A quantile is one of them, so an infinite one spoils no other."""
        median, late = np.quantile(each, (0.5, 0.95), method="inverted_cdf")
        return cls(float(median), float(late), float(np.isfinite(each).mean()))

    def to_json(self) -> dict[str, float | None]:
        """None for never."""
        each = {"median_seconds": self.median, "late_seconds": self.late}
        finite = {name: None if math.isinf(value) else value for name, value in each.items()}
        return {**finite, "share": self.share}


def wilson(hits: int, runs: int) -> tuple[float, float]:
    """95 % interval of a share (E. B. Wilson, 1927)."""
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (hits + z * z / 2) / (runs + z * z)
    half = z / (runs + z * z) * math.sqrt(hits * (runs - hits) / runs + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)
