"""The traffic: requests and errors of a canary and of stable, second by second, with noise.

Rules:
1. Rates are the canary's own requests; without replicas stable has nine times as many, as with a canary of 10 %.
2. Noise multiplies an arm's error rate, anew in each burst, by a Gamma number of mean 1 and shape 2: most bursts
   are between a fifth and three times the rate. Rare noise multiplies it by 10 in a twentieth of the bursts, and by
   1 else. Where bursts begin is drawn for each run.
3. Of several replicas each has an equal part of its arm's requests and bursts of its own; an arm's share of the traffic
   is its share of the replicas. Of a canary with bad replicas only those have its error rate, the others stable's.
4. Everything is drawn from the seed and the cell, so that every judge sees the same runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from roundtrip.gates.bursts import BURST_SHAPE, over_time
from roundtrip.gates.many import Arms, Ints

CANARY_SHARE = 0.1
STABLE_ERROR_RATE = 0.005
RARE_SHARE = 0.05
RARE_FACTOR = 10.0


@dataclass(frozen=True)
class Replicas:
    """How many processes each arm has."""

    canary: int
    stable: int
    bad: int | None = None
    """so many of the canary's have its error rate; None: all"""

    @property
    def canary_share(self) -> float:
        return self.canary / (self.canary + self.stable)


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
    replicas: Replicas | None = field(default=None, repr=False)
    """None: an arm has its bursts as a whole. Told by the name, and not drawn from."""


NOISES = (
    Noise("none"),
    Noise("shared, 10 s", 10, is_shared=True),
    Noise("shared, 60 s", 60, is_shared=True),
    Noise("per arm, 10 s", 10),
    Noise("per arm, 60 s", 60),
    Noise("per arm, rare, 10 s", 10, is_rare=True),
)

REPLICA_NOISES = (
    Noise("1 of 10, 10 s", 10, replicas=Replicas(1, 9)),
    Noise("1 of 10, 60 s", 60, replicas=Replicas(1, 9)),
    Noise("1 of 4, 10 s", 10, replicas=Replicas(1, 3)),
    Noise("1 of 4, 60 s", 60, replicas=Replicas(1, 3)),
    Noise("one bad of 3, none", replicas=Replicas(3, 9, bad=1)),
    Noise("one bad of 3, 10 s", 10, replicas=Replicas(3, 9, bad=1)),
    Noise("one bad of 3, 60 s", 60, replicas=Replicas(3, 9, bad=1)),
)
"""1 of 10: the canary is one replica beside nine of stable, each with bursts of its own; 1 of 4 as the plan's workers.
One bad of 3: a canary of three replicas beside nine, of which one has the harm."""


@dataclass(frozen=True)
class Cell:
    """One kind of traffic."""

    noise: Noise
    per_second: float
    """requests of the canary"""
    canary_error_rate: float = STABLE_ERROR_RATE
    seconds: int = 3600

    @property
    def name(self) -> str:
        return self.noise.name

    @property
    def rate(self) -> float:
        """Stable's share of bad requests."""
        return STABLE_ERROR_RATE

    @property
    def burst_seconds(self) -> int:
        """How long bursts last; 0: there are none."""
        return self.noise.burst_seconds

    @property
    def is_apart(self) -> bool:
        """Whether an arm, or one replica of it, may have a burst that the others have not."""
        return self.noise.burst_seconds > 0 and not self.noise.is_shared

    def with_harm(self, rate: float) -> Cell:
        return replace(self, canary_error_rate=rate)

    def harmless(self, runs: int, seed: int) -> Arms:
        """Gates whose canary is as good as stable."""
        return draw(self, runs, seed)

    def harmful(self, rate: float, runs: int, seed: int) -> Arms:
        """Gates whose canary, or what is bad of it, fails in `rate` of its requests."""
        return draw(self.with_harm(rate), runs, seed)


def draw(cell: Cell, runs: int, seed: int) -> Arms:
    """`runs` gates of one-second intervals."""
    dice = np.random.default_rng([seed, *f"{cell}".encode()])
    if cell.noise.replicas is not None:
        return _of_replicas(cell, cell.noise.replicas, runs, dice)
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


def _of_replicas(cell: Cell, replicas: Replicas, runs: int, dice: np.random.Generator) -> Arms:
    """By rule 3."""
    each = cell.per_second / replicas.canary
    bad = replicas.canary if replicas.bad is None else replicas.bad
    rates = [cell.canary_error_rate] * bad + [STABLE_ERROR_RATE] * (replicas.canary - bad)

    def arm(rates: list[float]) -> tuple[Ints, Ints]:
        total, failed = (np.zeros((runs, cell.seconds), dtype=np.int64) for _ in range(2))
        for rate in rates:
            requests = dice.poisson(each, total.shape)
            total += requests
            failed += dice.binomial(requests, np.minimum(1.0, rate * _multipliers(cell, runs, dice)))
        return total, failed

    return Arms(*arm(rates), *arm([STABLE_ERROR_RATE] * replicas.stable))


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
