"""Canaries that run alone, many gates at once: `comparison.Alone` and `AloneInBursts` on arrays.

What is recorded of stable differs from gate to gate, so the bounds of its rate are arrays too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from roundtrip.gates.blocks import MEAN_STAKES
from roundtrip.gates.comparison import TOLERATED_PARTS, Alone
from roundtrip.gates.eprocess import BISECTIONS, PRIOR_REQUESTS, PRIOR_SHAPE
from roundtrip.gates.evidence import Baseline, Counts
from roundtrip.gates.kinds import minimum
from roundtrip.gates.many import Arms, Bets, BlockBets, Flags, Floats, Ints, Recorded, absolute, bounded
from roundtrip.plan.model import Gate, Metric


class ManyAlone:
    """`comparison.Alone` of many gates. Raises GateError when one of them has nothing to compare with."""

    def __init__(
        self, metric: Metric, gate: Gate, arms: Arms, recorded: Recorded, bound_alarm: float
    ) -> None:
        gates = arms.canary.shape[0]
        least = Baseline(Counts(int(recorded.total.min()), 0))
        self._rule = Alone(metric, gate, gate.false_pass / 2, least, bound_alarm)
        self._gate = gate
        # By sample first, so that what belongs together lies together.
        self._arms = np.stack([arms.canary.T, arms.canary_bad.T], axis=1)
        self._rows = np.arange(gates)
        self._total = np.zeros(gates, dtype=np.int64)
        upper = rate_bounds(recorded, bound_alarm)[1]
        lower = rate_bounds(recorded, self._rule.false_pass)[0]
        self._expected = np.where(recorded.total > 0, upper, metric.absolute_tolerance)
        self._tolerated = np.maximum(metric.tolerated_odds * lower, metric.absolute_tolerance)
        self._against = Bets(gates, self._fail_ratios(), self._rule.restarts)
        self._within_tolerance = Bets(gates, TOLERATED_PARTS, 0)

    def _fail_ratios(self) -> Sequence[float]:
        return self._rule.metric.fail_odds

    @property
    def waiting(self) -> Ints:
        """Canary requests that wait for one to stable: none, there is nothing beside it."""
        return np.zeros(self._rows.size, dtype=np.int64)

    def grow(self, at: int, begins: float, ends: float) -> None:
        counted = self._arms[at][:, self._rows]
        self._total += counted[0]
        self._bet(counted, begins, ends)

    def _bet(self, counted: Ints, begins: float, ends: float) -> None:  # noqa: ARG002
        self._bet_against(counted, begins, 1.0)
        self._within_tolerance.grow(absolute(TOLERATED_PARTS, self._tolerated, counted))

    def _bet_against(self, counted: Ints, begins: float, times: float) -> None:
        """On more than so many times the expected rate."""
        self._against.begin_anew(self._rule.due(begins), np.ones(self._rows.size, dtype=bool))
        self._against.grow(absolute(self._fail_ratios(), times * self._expected, counted))

    def log_against(self) -> Floats:
        return self._against.log_value_with_restarts()

    def is_good(self) -> Flags:
        """Whether PASS lacks nothing but time."""
        enough = self._within_tolerance.log_value() >= math.log(1 / self._rule.false_pass)
        good: Flags = enough & (self._total >= minimum(self._rule.metric.kind, self._gate))
        return good

    def keep(self, alive: Flags) -> None:
        self._rows, self._total = self._rows[alive], self._total[alive]
        self._expected, self._tolerated = self._expected[alive], self._tolerated[alive]
        self._against.keep(alive)
        self._within_tolerance.keep(alive)


class ManyAloneInBursts(ManyAlone):
    """`comparison.AloneInBursts` of many gates."""

    def __init__(
        self, metric: Metric, gate: Gate, arms: Arms, recorded: Recorded, bound_alarm: float
    ) -> None:
        super().__init__(metric, gate, arms, recorded, bound_alarm)
        self._in_blocks = BlockBets(2, self._rows.size, gate, MEAN_STAKES, self._rule.restarts)

    def _bet(self, counted: Ints, begins: float, ends: float) -> None:
        if limit := self._gate.burst_ratio:
            self._bet_against(counted, begins, limit)
        self._in_blocks.count(counted, begins, ends, self._rule.due, self._settled)

    def _settled(self, block: Ints, rows: Ints) -> Floats:
        limit = self._gate.burst_ratio or math.inf
        within = bounded(TOLERATED_PARTS, self._tolerated[rows], limit, block)
        self._within_tolerance.grow(within, rows)
        return _above(self._expected[rows], block)

    def log_against(self) -> Floats:
        return self._in_blocks.log_against(super().log_against() if self._gate.burst_ratio else None)

    def keep(self, alive: Flags) -> None:
        super().keep(alive)
        self._in_blocks.keep(alive)


def rate_bounds(recorded: Recorded, miss: float) -> tuple[Floats, Floats]:
    """`eprocess.rate_bounds` of each; where nothing was counted they mean nothing."""
    a, b, n, x = PRIOR_SHAPE, PRIOR_REQUESTS, np.maximum(recorded.total, 1), recorded.bad
    kinds, where = np.unique(x, return_inverse=True)
    gammas = np.array([math.lgamma(kind + a) for kind in kinds])[where]
    mixture = gammas - math.lgamma(a) + a * math.log(b) - (x + a) * np.log(n + b)

    def is_out(rates: Floats) -> Flags:
        # Where nothing was bad the logarithm counts 0 times, also that of a rate of 0.
        likelihood = x * np.log(np.maximum(rates, np.finfo(float).tiny)) - n * rates
        out: Flags = mixture - likelihood >= -math.log(miss)
        return out

    best: Floats = x / n
    high = best + 1 / n
    while not (out := is_out(high)).all():
        high = np.where(out, high, 2 * high)
    lower = np.where(x > 0, _edge(is_out, out=np.zeros(best.shape), inside=best), 0.0)
    return lower, _edge(is_out, out=high, inside=best)


def _edge(is_out: Callable[[Floats], Flags], *, out: Floats, inside: Floats) -> Floats:
    for _ in range(BISECTIONS):
        middle = (out + inside) / 2
        is_there = is_out(middle)
        out, inside = np.where(is_there, middle, out), np.where(is_there, inside, middle)
    return out


def _above(bound: Floats, counted: Ints) -> Floats:
    """`blocks.above`."""
    n, x = counted
    excess = x / (n * bound) - 1
    factors: Floats = np.log1p(np.array(MEAN_STAKES) * excess[:, None])
    return factors
