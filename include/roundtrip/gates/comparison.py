"""The comparison of one metric: which bets are placed on its counts, with stable beside the canary or alone.

Rules:
1. Compared: bets on the ratio, with stable's simultaneous requests; for PASS also on the canary's own rate.
2. Alone: bets on the canary's own rate, against bounds of what is recorded of stable.
3. Bets on an interval are chosen before it is seen; requests that only one arm had wait for the other's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

from roundtrip.errors import GateError
from roundtrip.gates.eprocess import Bets, absolute, log_mean, rate_bounds, relative
from roundtrip.gates.evidence import Baseline, Counts
from roundtrip.plan.model import Metric

TOLERATED_PARTS = (0.02, 0.2, 0.5)
"""What PASS bets the canary's rate to be, in parts of the tolerated one."""


@dataclass(frozen=True)
class MetricState:
    """What one metric has shown."""

    canary: Counts = field(default_factory=Counts)
    """since the warm-up ended"""
    stable: Counts = field(default_factory=Counts)
    pending: tuple[Counts, Counts] = (Counts(), Counts())
    """canary's and stable's since both last had requests"""
    against: Bets = field(default_factory=lambda: Bets.of(()))
    within_ratio: Bets = field(default_factory=lambda: Bets.of(()))
    within_tolerance: Bets = field(default_factory=lambda: Bets.of(()))

    @property
    def uncompared(self) -> int:
        """Canary requests that have no request to stable beside them yet."""
        return self.pending[0].total


@dataclass(frozen=True)
class Compared:
    """Canary beside stable, by ratio; and by tolerance where there is one."""

    metric: Metric
    false_pass: float

    @property
    def ratios(self) -> tuple[float, ...]:
        """What PASS bets the ratio to be: below the tolerated one, as good, better."""
        return (math.sqrt(self.metric.tolerated_odds), 1.0, 0.5)

    def start(self) -> MetricState:
        return MetricState(
            against=Bets.of(self.metric.fail_odds),
            within_ratio=Bets.of(self.ratios),
            within_tolerance=Bets.of(TOLERATED_PARTS),
        )

    def grown(self, one: MetricState, canary: Counts, stable: Counts, due: int) -> MetricState:
        tolerance = self.metric.absolute_tolerance
        grown = replace(
            one,
            canary=one.canary + canary,
            stable=one.stable + stable,
            pending=(one.pending[0] + canary, one.pending[1] + stable),
            against=one.against.begun_anew(due),
            within_tolerance=one.within_tolerance.grown(absolute(TOLERATED_PARTS, tolerance, canary)),
        )
        n, m = grown.pending
        if n.total == 0 or m.total == 0:
            return grown
        return replace(
            grown,
            pending=(Counts(), Counts()),
            against=grown.against.grown(relative(self.metric.fail_odds, 1.0, n, m)),
            within_ratio=one.within_ratio.grown(relative(self.ratios, self.metric.tolerated_odds, n, m)),
        )

    def log_for(self, one: MetricState) -> float:
        if self.metric.absolute_tolerance == 0:
            return one.within_ratio.log_value()
        return log_mean([one.within_ratio.log_value(), one.within_tolerance.log_value()])


@dataclass(frozen=True)
class Alone:
    """Canary without stable beside it, against what is recorded."""

    metric: Metric
    baseline: Baseline
    bound_alarm: float
    """probability that the recorded rate is above its upper bound"""
    false_pass: float
    """for the bets; the lower bound takes as much again"""

    def __post_init__(self) -> None:
        if self.baseline.counts.total == 0 and self.metric.absolute_tolerance == 0:
            raise GateError(
                "nothing is recorded of stable, and absolute_tolerance is 0: there is nothing to compare with",
                where=f"metric {self.metric.name}",
                remedy="run a gate with both versions before, or give an absolute_tolerance",
            )

    @cached_property
    def expected(self) -> float:
        """The rate above which the canary is worse than stable."""
        if self.baseline.counts.total == 0:
            return self.metric.absolute_tolerance
        return rate_bounds(self.baseline.counts, self.bound_alarm)[1]

    @cached_property
    def tolerated(self) -> float:
        """The rate from which on the canary is worse than tolerated; 0 when nothing could show that it is not."""
        lower = rate_bounds(self.baseline.counts, self.false_pass)[0]
        return max(self.metric.tolerated_odds * lower, self.metric.absolute_tolerance)

    def start(self) -> MetricState:
        return MetricState(against=Bets.of(self.metric.fail_odds), within_tolerance=Bets.of(TOLERATED_PARTS))

    def grown(self, one: MetricState, canary: Counts, stable: Counts, due: int) -> MetricState:
        against = one.against.begun_anew(due)
        return replace(
            one,
            canary=one.canary + canary,
            stable=one.stable + stable,
            against=against.grown(absolute(self.metric.fail_odds, self.expected, canary)),
            within_tolerance=one.within_tolerance.grown(absolute(TOLERATED_PARTS, self.tolerated, canary)),
        )

    def log_for(self, one: MetricState) -> float:
        return one.within_tolerance.log_value()
