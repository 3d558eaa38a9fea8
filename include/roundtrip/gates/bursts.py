"""Bursts, for simulations: the factor by which an arm's rate of bad requests is another one for a while.

Rules:
1. Each burst's factor is a Gamma number of mean 1 and shape BURST_SHAPE: most are between a fifth and three times.
2. Where bursts begin is drawn for each gate and arm. An interval is in the burst in which it begins.
3. A plan that says how many times worse than the other one an arm is in a burst at most is held to it: a factor
   beyond that is cut. Nothing makes up for what is cut, so the mean is then a little below 1, in both arms alike.
"""

from __future__ import annotations

import numpy as np

from roundtrip.gates.many import Floats, Ints

BURST_SHAPE = 2.0


def over_time(each: Floats, offsets: Floats | Ints, begins: Floats | Ints, burst_seconds: float) -> Floats:
    """The factor in each interval, of shape (gates, intervals).

    `each`: factors of a gate's bursts, of shape (gates, bursts). `offsets`: seconds that a gate's first burst has
    lasted when the gate begins. `begins`: seconds when each interval begins.
    """
    number = ((begins[None, :] + offsets[:, None]) // burst_seconds).astype(np.int64)
    return np.take_along_axis(each, number, axis=1)


def drawn(gates: int, begins: Floats, burst_seconds: float, dice: np.random.Generator) -> Floats:
    """Factors of one arm, of shape (gates, intervals)."""
    bursts = int(begins[-1] // burst_seconds) + 2
    each = dice.gamma(BURST_SHAPE, 1 / BURST_SHAPE, (gates, bursts))
    return over_time(each, dice.uniform(0, burst_seconds, gates), begins, burst_seconds)


def held(one: Floats, other: Floats, burst_ratio: float | None) -> Floats:
    """The factors of `one`, not more than `burst_ratio` times those of `other`; None: of any size."""
    return one if burst_ratio is None else np.minimum(one, burst_ratio * other)
