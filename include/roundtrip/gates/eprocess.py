"""E-processes: evidence that may be looked at after every request, and acted upon at any moment.

An e-value against a hypothesis has expectation 1 or less while the hypothesis holds, also at a moment that
was chosen by looking at it. So P(it ever reaches 1/a) is at most a (Ville), and averages of e-values are
e-values.

In an interval the canary has n requests, x of them bad, and stable m requests, y bad. All follows from one
bound: a request that is bad with probability p has E[f^bad] = 1 + p(f - 1) <= exp(p(f - 1)), for any f > 0.
The same holds for a count of bad tries that is Poisson with mean p per request, so `bad` may be above
`total`.

1. Relative. Against "canary's rate <= k times stable's", bet on the ratio r > k; against ">= k times", on r <
   k: the factor is (r/k)^x * ((k n + m) / (r n + m))^(x + y), the likelihood ratio of the canary's share of
   the
bad ones. Put the bound in with p_canary = k p_stable: the exponents add up to 0, so the expectation is at
most 1, and it is less for every other member of the hypothesis. Stable's own rate does not enter and may
change over time.
2. Absolute. Against "rate <= b", bet on f b with f > 1; against "rate >= b", with f < 1:
   the factor is f^x * exp(-n b (f - 1)), of expectation at most 1 by the same bound.
3. Nobody knows r before, so each hypothesis gets several bets with equal weight.
4. A fault that begins late finds the first bets with losses. Half of the weight is therefore on bets that
   begin anew every RESTART_SECONDS, in equal parts; a part that has not begun yet counts as 1.

The assumption: given the traffic, requests of one interval are bad independently. Noise that both arms share
is harmless; bursts that hit one arm alone look like a fault of that arm, and are what `blocks` is for.

E-processes: arXiv 2210.01948. Counts of arms compared at any time: 2011.03567; in deployments: 2205.14762.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from roundtrip.gates.evidence import Counts

RESTART_SECONDS = 60.0

PRIOR_SHAPE = 0.5
PRIOR_REQUESTS = 50.0
"""The rates that the recorded baseline's bound bets on: Gamma(1/2) with mean 1 %. Fixed before any data."""

BISECTIONS = 80
"""Halvings of an interval of rates; 60 reach the precision of a float."""


@dataclass(frozen=True)
class Bets:
    """Some bets against one hypothesis, by the logarithm of what each has won since it began."""

    logs: tuple[float, ...]
    """one for each ratio that is bet on"""
    restarts: tuple[float, ...]
    """for each ratio the log of the sum over restarts k of exp(-logs at k): what makes their wins from `logs`"""
    restarted: int = 0

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Bets:
        return cls((0.0,) * len(ratios), (-math.inf,) * len(ratios))

    def grown(self, factors: Sequence[float]) -> Bets:
        """After an interval that multiplied each bet by exp(factor)."""
        return replace(self, logs=tuple(a + b for a, b in zip(self.logs, factors, strict=True)))

    def begun_anew(self, restarts: int) -> Bets:
        """With as many restarts as are due; those that came due together begin together."""
        new = restarts - self.restarted
        if new <= 0:
            return self
        begun = tuple(
            _log_sum([one, math.log(new) - log]) for one, log in zip(self.restarts, self.logs, strict=True)
        )
        return Bets(self.logs, begun, restarts)

    def log_value(self) -> float:
        """Log of the e-value without restarts."""
        return log_mean(self.logs)

    def log_value_with_restarts(self, planned: int) -> float:
        """Log of the e-value with half of the weight on `planned` restarts."""
        if planned == 0:
            return self.log_value()
        wins = [log + one for log, one in zip(self.logs, self.restarts, strict=True)]
        begun = _log_sum(wins) - math.log(len(wins) * planned)
        waiting = math.log((planned - self.restarted) / planned) if self.restarted < planned else -math.inf
        return _log_sum([self.log_value(), begun, waiting]) - math.log(2)


def relative(
    ratios: Sequence[float], k: float, canary: Counts, stable: Counts, *, lacking: float = 0.0
) -> tuple[float, ...]:
    """Log factors of rule 1; both arms had requests. `lacking` bad ones are counted on stable beside its own.

    For ratios above k a factor falls with them, so whatever `lacking` depends on, its expectation is at most what it was.
    """
    n, m, bad = canary.total, stable.total, canary.bad + stable.bad + lacking
    return tuple(canary.bad * math.log(r / k) + bad * math.log((k * n + m) / (r * n + m)) for r in ratios)


def absolute(ratios: Sequence[float], bound: float, canary: Counts) -> tuple[float, ...]:
    """Log factors of rule 2, ratios to `bound`."""
    return tuple(canary.bad * math.log(f) - canary.total * bound * (f - 1) for f in ratios)


def rate_bounds(counts: Counts, miss: float) -> tuple[float, float]:
    """Lower and upper bound of the rate behind `counts`; they miss it with probability `miss` at most.

    The rates against which a Gamma mixture of rule 2's bets has not won 1/miss. It holds at any moment, so also for
    counts that end where a gate decided. The lower bound is 0 and the upper infinite where nothing was counted.
    """
    if counts.total == 0:
        return 0.0, math.inf
    a, b, n, x = PRIOR_SHAPE, PRIOR_REQUESTS, counts.total, counts.bad
    mixture = math.lgamma(x + a) - math.lgamma(a) + a * math.log(b) - (x + a) * math.log(n + b)

    def is_out(rate: float) -> bool:
        likelihood = (x * math.log(rate) if x else 0.0) - n * rate
        return mixture - likelihood >= -math.log(miss)

    best = x / n
    high = best + 1 / n
    while not is_out(high):
        high *= 2
    return (_edge(is_out, out=0.0, inside=best) if x else 0.0), _edge(is_out, out=high, inside=best)


def _edge(is_out: Callable[[float], bool], *, out: float, inside: float) -> float:
    """Where the rates that are out begin, told from outside, so that a bound is never too tight."""
    for _ in range(BISECTIONS):
        middle = (out + inside) / 2
        out, inside = (middle, inside) if is_out(middle) else (out, middle)
    return out


def log_mean(logs: Sequence[float]) -> float:
    """Log of the mean of e-values, which is an e-value again."""
    return _log_sum(logs) - math.log(len(logs))


def _log_sum(logs: Sequence[float]) -> float:
    most = max(logs)
    if most == -math.inf:
        return most
    return most + math.log(math.fsum(math.exp(log - most) for log in logs))
