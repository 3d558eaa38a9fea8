"""The traffic: requests and errors of a canary and of stable, second by second, with noise.

Rules:
1. Rates are the canary's own requests; stable has nine times as many, as with a canary of 10 %.
2. Noise multiplies an arm's error rate, anew in each burst, by a Gamma number of mean 1 and shape 2: most bursts
   are between a fifth and three times the rate. Rare noise multiplies it by 10 in a twentieth of the bursts, and by
   1 else. Where bursts begin is drawn for each run.
3. Everything is drawn from the seed, the cell and the chunk, so that every judge sees the same runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roundtrip.gates.bursts import BURST_SHAPE, over_time
from roundtrip.gates.many import Arms

CANARY_SHARE = 0.1
STABLE_ERROR_RATE = 0.005
RARE_SHARE = 0.05
RARE_FACTOR = 10.0


@dataclass(frozen=True)
class Noise:
    """How the errors of an arm come together."""

    name: str
    burst_seconds: int = 0
    """0: not at all"""
    is_shared: bool = False
    """both arms have the same bursts"""
    is_rare: bool = False
    """seldom and ten times as bad"""


NOISES = (
    Noise("none"),
    Noise("shared, 10 s", 10, is_shared=True),
    Noise("shared, 60 s", 60, is_shared=True),
    Noise("per arm, 10 s", 10),
    Noise("per arm, 60 s", 60),
    Noise("per arm, rare, 10 s", 10, is_rare=True),
)


@dataclass(frozen=True)
class Cell:
    """One kind of traffic."""

    noise: Noise
    per_second: float
    """requests of the canary"""
    canary_error_rate: float = STABLE_ERROR_RATE
    seconds: int = 3600

    def with_harm(self, rate: float) -> Cell:
        return replace(self, canary_error_rate=rate)


def draw(cell: Cell, runs: int, seed: int) -> Arms:
    """`runs` gates of one-second intervals."""
    dice = np.random.default_rng([seed, *f"{cell}".encode()])
    shape = (runs, cell.seconds)
    canary = dice.poisson(cell.per_second, shape)
    stable = dice.poisson(cell.per_second * (1 - CANARY_SHARE) / CANARY_SHARE, shape)
    first = _multipliers(cell, runs, dice)
    second = first if cell.noise.is_shared else _multipliers(cell, runs, dice)
    return Arms(
        canary,
        dice.binomial(canary, np.minimum(1.0, cell.canary_error_rate * first)),
        stable,
        dice.binomial(stable, np.minimum(1.0, STABLE_ERROR_RATE * second)),
    )


def _multipliers(cell: Cell, runs: int, dice: np.random.Generator) -> NDArray[np.float64]:
    length = cell.noise.burst_seconds
    if length == 0:
        return np.ones((runs, cell.seconds))
    shape = (runs, cell.seconds // length + 2)
    if cell.noise.is_rare:
        bursts = np.where(dice.random(shape) < RARE_SHARE, RARE_FACTOR, 1.0)
    else:
        bursts = dice.gamma(BURST_SHAPE, 1 / BURST_SHAPE, shape)
    offsets = dice.integers(0, length, runs)
    return over_time(bursts, offsets, np.arange(cell.seconds), length)
