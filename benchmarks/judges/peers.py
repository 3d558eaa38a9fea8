"""The rules of other judges, written anew from what their projects publish.

Sources:
- Argo Rollouts, docs/features/analysis.md and its Prometheus provider: a metric is measured each `interval`; it
  fails when more than `failureLimit` (default 0) measurements failed in all, and is in error, which aborts too, when
  more than `consecutiveErrorLimit` (default 4) in a row could not be made. A condition on a series that is not there
  is an error, one on 0/0 (NaN) is not met, so that measurement failed. The documentation's own example asks for a
  success rate of 95 % each 5 minutes, failureLimit 3.
- Flagger, docs.flagger.app: each `interval` the built-in success rate of that interval is checked against a minimum
  of 99 %; no value is a failed check. Failed checks are counted up; at the next interval after `threshold` of them
  the canary is rolled back. threshold is 5 in the documentation's example and 1 when it is left out.
- Kayenta, NetflixACAJudge: after the whole analysis (an hour) the values of each minute are compared by a
  Mann-Whitney test at confidence 0.98; High is where the lower end of the interval of the shift is above 0.25 times
  the estimate of the shift. Minutes without requests have no value and are left out.

What is favourable to them: their queries answer at once, and each of them reads exactly its own interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from roundtrip.gates.many import Arms

Floats = NDArray[np.float64]


def success_rates(arms: Arms, interval: int) -> Floats:
    """The canary's, for each interval; NaN where it had no requests."""
    total, bad = _summed(arms.canary, interval), _summed(arms.canary_bad, interval)
    with np.errstate(invalid="ignore", divide="ignore"):
        rates: Floats = 1 - bad / total
    return rates


def _summed(counts: NDArray[np.int64], interval: int) -> NDArray[np.int64]:
    runs, seconds = counts.shape
    whole = seconds // interval
    summed: NDArray[np.int64] = counts[:, : whole * interval].reshape(runs, whole, interval).sum(axis=2)
    return summed


@dataclass(frozen=True)
class Argo:
    """A background analysis of one metric."""

    interval: int = 60
    success: float = 0.95
    failure_limit: int = 0
    consecutive_error_limit: int = 4

    def failed(self, arms: Arms) -> Floats:
        rates = success_rates(arms, self.interval)
        is_there = np.cumsum(_summed(arms.canary, self.interval), axis=1) > 0
        failures = np.cumsum(is_there & ~(rates >= self.success), axis=1)
        errors = _in_a_row(~is_there)
        over = (failures > self.failure_limit) | (errors > self.consecutive_error_limit)
        return _first(over) * self.interval


@dataclass(frozen=True)
class Flagger:
    """A canary analysis of the built-in success rate."""

    interval: int = 60
    success: float = 0.99
    threshold: int = 5

    def failed(self, arms: Arms) -> Floats:
        rates = success_rates(arms, self.interval)
        failures = np.cumsum(~(rates >= self.success), axis=1)
        # The check that reaches the threshold is counted; the next interval begins with the look at the counter.
        return (_first(failures >= self.threshold) + 1) * self.interval


@dataclass(frozen=True)
class Kayenta:
    """One analysis at the end of the hour."""

    step: int = 60
    confidence: float = 0.98
    tolerance: float = 0.25

    def failed(self, arms: Arms) -> Floats:
        canary = 1 - success_rates(arms, self.step)
        stable = 1 - success_rates(
            Arms(arms.stable, arms.stable_bad, arms.canary, arms.canary_bad), self.step
        )
        end = arms.canary.shape[1]
        return np.array(
            [end if self._is_high(x, y) else math.inf for x, y in zip(canary, stable, strict=True)]
        )

    def _is_high(self, canary: Floats, stable: Floats) -> bool:
        x, y = canary[~np.isnan(canary)], stable[~np.isnan(stable)]
        if x.size == 0 or y.size == 0:
            return False
        shifts = np.sort((x[:, None] - y[None, :]).ravel())
        estimate = abs(float(np.median(shifts)))
        return _lower_end(x, y, shifts, self.confidence) > self.tolerance * estimate


def _lower_end(x: Floats, y: Floats, shifts: Floats, confidence: float) -> float:
    """Lower end of the interval of the shift, by the normal approximation with its correction for ties."""
    n, m = x.size, y.size
    _, ties = np.unique(np.concatenate([x, y]), return_counts=True)
    both = n + m
    variance = n * m / 12 * (both + 1 - float((ties**3 - ties).sum()) / (both * (both - 1)))
    rank = n * m / 2 - NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(max(variance, 0.0)) - 0.5
    return float(shifts[max(0, math.floor(rank))]) if rank >= 0 else -math.inf


def _in_a_row(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    count = np.zeros(flags.shape, dtype=np.int64)
    for column in range(flags.shape[1]):
        before = count[:, column - 1] if column else 0
        count[:, column] = np.where(flags[:, column], before + 1, 0)
    return count


def _first(over: NDArray[np.bool_]) -> Floats:
    """Number of the first interval in which it is so, from 1 on; infinite for none."""
    return np.where(over.any(axis=1), over.argmax(axis=1) + 1.0, math.inf)
