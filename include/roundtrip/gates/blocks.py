"""Blocks: bets for traffic whose errors come in bursts that hit one arm alone.

In a burst the requests of an arm are not independent, so no single interval of a second says much, however
many requests it has. The unit is a block of time that is longer than a burst. Three bets hold there:

1. Pairs. From a block take a requests of the first arm and b of the second at random. When neither is worse,
   both numbers X and Y of bad ones have the same law, and either order is as likely. So for every h with
   h(X, Y) = -h(Y, X) and |h| <= 1 the factor 1 + h has expectation 1; when the first arm is better, X is
   smaller in law and h, which grows with X, is smaller on average. Averaging over all choices of requests
   keeps that, and leaves a function of the counts alone. No law of the bursts is assumed, nor their size; what
   hits both arms (a traffic peak, a slow database) may do what it likes. The price: a block multiplies a bet by
   2 at most, so evidence of 100 needs 7 blocks, and more with a prior.
   h = MOST_LEAN tanh(d/2), d the log likelihood ratio of "X's rate is r times Y's" to the reverse, for rates
   that are Gamma of shape NOISE_SHAPE around their mean. The shape decides how much is won, not whether it is
   fair; MOST_LEAN leaves every bet something to go on with after its worst block.
2. Ratios. Against "k times as bad or worse", a requests of the canary stand against k a of stable: for rare bad
   ones the same law, the canary's the less scattered one.
3. Rates, canary alone. Against "b is the mean rate at most": 1 + g (bad / (n b) - 1) with g < 1 is not negative
   and has expectation 1 at most, whatever the bursts. Against "b is the mean at least": f^bad with f < 1, when a
   burst makes the rate of a block R times b at most. Then E[f^bad] <= 1 + (exp(n R b (f - 1)) - 1) / R, since a
   convex function lies below its chord. At R = 1 that is the bet on independent requests.

The assumption is that blocks do not know of each other. So a block is BLOCK_BURSTS bursts long and begins with a pause
of GUARD_BURSTS, a whole one, whose requests nobody judges: a burst that one block saw is over when the next one begins
to count. Half of the requests are the price. With a shorter pause a burst that reaches from one block into the next
makes the two alike, and false alarms come more often than stated; docs/gates.md says how often, and what it would save.

Bets on two samples: arXiv 2112.09162; on bounded means: 2010.09686; on symmetry: 2009.03167, section 5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from roundtrip.gates.evidence import Counts

BLOCK_BURSTS = 2.0
GUARD_BURSTS = 1.0

NOISE_SHAPE = 4.0
"""About what two bursts in a block leave; fixed before any data."""

MOST_LEAN = 0.99

MEAN_STAKES = (0.1, 0.3, 0.8)
"""g of rule 3."""

NEGLIGIBLE = 1e-15
"""Choices of requests that are rarer than that, against the likeliest one, are left out."""


@dataclass(frozen=True)
class Block:
    """The block that is being filled."""

    opens: float
    """seconds since the gate began; what began before is not counted"""
    closes: float
    """the first sample from here on at which both arms had requests ends it"""
    canary: Counts = field(default_factory=Counts)
    stable: Counts = field(default_factory=Counts)

    @classmethod
    def first(cls, seconds: float, burst_seconds: float) -> Block:
        """The block that begins at `seconds`, with no other one before it."""
        return cls(seconds, seconds + BLOCK_BURSTS * burst_seconds)

    @classmethod
    def after(cls, seconds: float, burst_seconds: float) -> Block:
        """The block that follows one which ended at `seconds`."""
        return cls(seconds + GUARD_BURSTS * burst_seconds, seconds + BLOCK_BURSTS * burst_seconds)

    def grown(self, canary: Counts, stable: Counts, begins: float) -> Block:
        if begins < self.opens:
            return self
        return replace(self, canary=self.canary + canary, stable=self.stable + stable)

    def is_full(self, seconds: float, *, alone: bool) -> bool:
        both = self.canary.total > 0 and (alone or self.stable.total > 0)
        return both and seconds >= self.closes


def paired(ratios: Sequence[float], first: Counts, a: int, second: Counts, b: int) -> tuple[float, ...]:
    """Log factors of rules 1 and 2 for "a requests of first have r times as many bad ones as b of second".

    0 where a or b is 0.
    """
    if a == 0 or b == 0:
        return (0.0,) * len(ratios)
    chosen = [(x, y, p * q) for x, p in thinned(first, a) for y, q in thinned(second, b)]
    return tuple(math.log1p(math.fsum(p * lean(r, x, y) for x, y, p in chosen)) for r in ratios)


def as_bad(ratios: Sequence[float], canary: Counts, stable: Counts) -> tuple[float, ...]:
    """Rule 1 against "canary is not worse"."""
    size = min(canary.total, stable.total)
    return paired(ratios, canary, size, stable, size)


def times_as_bad(ratios: Sequence[float], k: float, canary: Counts, stable: Counts) -> tuple[float, ...]:
    """Rule 2 against "canary is k times as bad or worse"."""
    a = min(canary.total, int(stable.total / k))
    return paired(ratios, stable, int(k * a), canary, a)


def lean(r: float, x: int, y: int) -> float:
    """h of rule 1: above 0 when x is the larger one."""
    mean = (x + y) / (1 + r)
    slope = math.log(r * (NOISE_SHAPE + mean) / (NOISE_SHAPE + r * mean)) / 2
    return MOST_LEAN * math.tanh((x - y) * slope)


def thinned(counts: Counts, size: int) -> list[tuple[int, float]]:
    """How many bad ones `size` requests have that are chosen at random, with the probability of each number.

    Where there are more bad ones than requests, what every request has for certain is shared out evenly.
    """
    each, bad = divmod(counts.bad, counts.total)
    good = counts.total - bad
    low, high = max(0, size - good), min(bad, size)
    top = min(high, max(low, (size + 1) * (bad + 1) // (counts.total + 2)))
    weights = {top: 1.0}
    for step, end in ((1, high), (-1, low)):
        at, weight = top, 1.0
        while at != end and weight > NEGLIGIBLE:
            up = at if step == 1 else at - 1
            odds = (bad - up) * (size - up) / ((up + 1) * (good - size + up + 1))
            weight = weight * odds if step == 1 else weight / odds
            at += step
            weights[at] = weight
    total = math.fsum(weights.values())
    return [(each * size + at, weight / total) for at, weight in sorted(weights.items())]


def above(bound: float, canary: Counts) -> tuple[float, ...]:
    """Log factors of rule 3 for a mean above `bound`, one for each stake; the block had requests."""
    excess = canary.bad / (canary.total * bound) - 1
    return tuple(math.log1p(stake * excess) for stake in MEAN_STAKES)


def bounded(ratios: Sequence[float], bound: float, burst_ratio: float, canary: Counts) -> tuple[float, ...]:
    """Log factors of rule 3 for a mean below `bound`, ratios to it; a burst is 1/bound at most, since rates are.

    At a bound of 0 nothing is won: every bad request is one too many.
    """
    most = max(1.0, min(burst_ratio, 1 / bound)) if 0 < bound < 1 else 1.0
    return tuple(
        canary.bad * math.log(f) - log_chord(canary.total * most * bound * (f - 1), most) for f in ratios
    )


def log_chord(exponent: float, most: float) -> float:
    """log(1 + (exp(exponent) - 1) / most), also where exp(exponent) is beyond a float."""
    if exponent > 500:
        return exponent - math.log(most)
    return math.log1p(math.expm1(exponent) / most)
