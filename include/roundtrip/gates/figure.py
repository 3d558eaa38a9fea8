"""How a figure is written where a person reads it: three significant digits, and no exponent below a million.

Evidence grows by orders of magnitude. `4.22e+03 of 600` has to be worked out before it can be compared; `4220 of 600` has not.
"""

from __future__ import annotations

import math

MILLION = 1_000_000.0
SMALLEST = 0.001
"""what is closer to zero is not told apart from it"""


def figure(value: float, digits: int = 3) -> str:
    """`0.501`, `4220`, from a million on `1.85e10`, and `<0.001`; at most six significant digits."""
    if not math.isfinite(value):
        return str(value)
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= MILLION:
        mantissa, _, exponent = f"{rounded:.{digits - 1}e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    if 0 < rounded < SMALLEST:
        return f"<{SMALLEST:g}"
    return f"{rounded:.6g}"
