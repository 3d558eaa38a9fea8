"""The comparison of one metric: which bets are placed on its counts, with stable beside the canary or alone.

Rules:
1. Compared: bets on the ratio, with stable's simultaneous requests; for PASS also on the canary's own rate.
2. Alone: bets on the canary's own rate, against bounds of what is recorded of stable; by time of day where it is (`hours`).
3. Bets on an interval or a block are chosen before it is seen; requests that only one arm had wait for the
   other's.
4. Independent requests: the unit is the interval between two samples. Bursts: the unit is the block
   (`blocks`); where the plan says how bad a burst is at most, half of the bets against the canary are still on
   intervals, on faults that are worse than that.
5. A lull of stable is no fault of the canary. Beside a stable version that fails less than usual for a while a canary
   as usual looks many times as bad. So the bets on intervals count stable's bad requests as no fewer than its mean so
   far makes them, in each stretch of a burst's length (`Lull`); a factor falls with them, so nothing is promised that
   does not hold.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from roundtrip.errors import GateError
from roundtrip.gates.blocks import MEAN_STAKES, Block, above, as_bad, bounded, times_as_bad
from roundtrip.gates.eprocess import RESTART_SECONDS, Bets, absolute, log_mean, rate_bounds, relative
from roundtrip.gates.evidence import Baseline, Counts
from roundtrip.gates.hours import HourlyBounds
from roundtrip.plan.model import Gate, Metric

TOLERATED_PARTS = (0.02, 0.2, 0.5)
"""What PASS bets the canary's rate to be, in parts of the tolerated one."""

BLOCK_RATIOS = (2.0, 4.0, 10.0)
"""What FAIL bets the ratio in a block to be; a bet wins little less on its neighbours' ratios."""


LULL_DEVIATIONS = 1.0
"""A stretch that is below the mean by so many of its standard deviations is no lull yet, only chance."""


@dataclass(frozen=True)
class Growth:
    """What was counted between two samples."""

    begins: float
    """seconds since the gate's first sample"""
    ends: float
    canary: Counts
    """of the arm that has to be no worse; of a throughput that is stable (`kinds.faced`)"""
    stable: Counts
    began: datetime | None = None
    """the gate's first sample; None where nothing is recorded by time of day"""


@dataclass(frozen=True)
class Lull:
    """How far stable is below its own mean in the stretch of a burst's length that is now."""

    stable: Counts = field(default_factory=Counts)
    """since the warm-up ended"""
    stretch: int = -1
    """its number since the gate began"""
    within: Counts = field(default_factory=Counts)
    """stable's in the stretch"""
    lacking: float = 0.0
    """the most bad ones that it lacked there at any sample"""

    def grown(self, stable: Counts, stretch: int) -> Lull:
        """With stable's next counts; a new stretch lacks nothing yet."""
        same = stretch == self.stretch
        whole, within = self.stable + stable, self.within + stable if same else stable
        expected = whole.bad / whole.total * within.total
        lacking = expected - LULL_DEVIATIONS * math.sqrt(expected) - within.bad
        return Lull(whole, stretch, within, max(self.lacking if same else 0.0, lacking))

    def added(self, before: Lull) -> float:
        """The bad ones to count beside stable's own since `before`."""
        return self.lacking - (before.lacking if self.stretch == before.stretch else 0.0)


@dataclass(frozen=True)
class MetricState:
    """What one metric has shown; the arms are those of `Growth`."""

    canary: Counts = field(default_factory=Counts)
    """since the warm-up ended"""
    stable: Counts = field(default_factory=Counts)
    pending: tuple[Counts, Counts] = (Counts(), Counts())
    """canary's and stable's since both last had requests"""
    against: Bets = field(default_factory=lambda: Bets.of(()))
    within_ratio: Bets = field(default_factory=lambda: Bets.of(()))
    within_tolerance: Bets = field(default_factory=lambda: Bets.of(()))
    block: Block | None = None
    """None before the first growth, and always without bursts"""
    against_in_blocks: Bets = field(default_factory=lambda: Bets.of(()))
    lull: Lull = field(default_factory=Lull)

    @property
    def uncompared(self) -> int:
        """Canary requests that have no request to stable beside them yet."""
        return self.pending[0].total


@dataclass(frozen=True)
class Rule(ABC):
    """What is common to all: when bets begin anew, and how the bets of a metric become its evidence."""

    metric: Metric
    gate: Gate
    false_pass: float
    """for the bets of this metric"""

    @property
    def restarts(self) -> int:
        """How many are planned."""
        return int(self.gate.deadline_seconds // RESTART_SECONDS)

    def due(self, seconds: float) -> int:
        """How many restarts have begun by then."""
        return min(self.restarts, int(seconds // RESTART_SECONDS))

    @abstractmethod
    def start(self) -> MetricState:
        """Before the first growth."""

    @abstractmethod
    def grown(self, one: MetricState, growth: Growth) -> MetricState:
        """With what was counted between two samples."""

    def filled(
        self, one: MetricState, growth: Growth, *, alone: bool = False
    ) -> tuple[MetricState, Block | None]:
        """With the growth in its block; and that block, when it is full and the next one has begun."""
        length = self.gate.burst_seconds
        if length is None:
            raise RuntimeError("a gate without burst_seconds has no blocks")
        block = one.block
        if block is None:
            block = Block.first(growth.begins, length)
            begun = one.against_in_blocks.begun_anew(self.due(growth.begins))
            one = replace(one, against_in_blocks=begun)
        block = block.grown(growth.canary, growth.stable, growth.begins)
        if not block.is_full(growth.ends, alone=alone):
            return replace(one, block=block), None
        return replace(one, block=Block.after(growth.ends, length)), block

    def log_against(self, one: MetricState) -> float:
        """Log of the e-value against "not worse than stable"."""
        bets = [each for each in (one.against, one.against_in_blocks) if each.logs]
        return log_mean([each.log_value_with_restarts(self.restarts) for each in bets])

    def log_for(self, one: MetricState) -> float:
        """Log of the e-value against "worse than tolerated"."""
        return log_mean([each.log_value() for each in (one.within_ratio, one.within_tolerance) if each.logs])


@dataclass(frozen=True)
class Compared(Rule):
    """Canary beside stable, by ratio; and by tolerance where there is one."""

    @property
    def ratios(self) -> tuple[float, ...]:
        """What PASS bets the ratio to be: below the tolerated one, as good, better."""
        return (math.sqrt(self.metric.tolerated_odds), 1.0, 0.5)

    @property
    def parts(self) -> tuple[float, ...]:
        return TOLERATED_PARTS if self.metric.absolute_tolerance > 0 else ()

    def start(self) -> MetricState:
        return MetricState(
            against=Bets.of(self.metric.fail_odds),
            within_ratio=Bets.of(self.ratios),
            within_tolerance=Bets.of(self.parts),
        )

    def grown(self, one: MetricState, growth: Growth) -> MetricState:
        one = _waiting(_counted(one, growth), growth)
        tolerance = absolute(self.parts, self.metric.absolute_tolerance, growth.canary)
        one = replace(
            one,
            against=one.against.begun_anew(self.due(growth.begins)),
            within_tolerance=one.within_tolerance.grown(tolerance),
        )
        n, m = one.pending
        if n.total == 0 or m.total == 0:
            return one
        return replace(
            one,
            pending=(Counts(), Counts()),
            against=one.against.grown(relative(self.metric.fail_odds, 1.0, n, m)),
            within_ratio=one.within_ratio.grown(relative(self.ratios, self.metric.tolerated_odds, n, m)),
        )


@dataclass(frozen=True)
class ComparedInBursts(Compared):
    """Canary beside stable, in blocks."""

    @property
    def burst_ratio(self) -> float:
        """The worst that a burst can do."""
        return self.gate.burst_ratio or math.inf

    @property
    def beyond_bursts(self) -> tuple[float, ...]:
        """The ratios of faults that no burst explains; none where a burst may be of any size."""
        limit = self.gate.burst_ratio
        return tuple(limit * r for r in self.metric.fail_odds) if limit else ()

    def stretch(self, seconds: float) -> int:
        """The number of the stretch of a burst's length that it is in."""
        return int(seconds // (self.gate.burst_seconds or math.inf))

    @property
    def ratios_in_blocks(self) -> tuple[float, ...]:
        """How many times as many bad ones as the canary PASS bets `tolerated_odds` times stable's requests have."""
        return tuple(self.metric.tolerated_odds / r for r in self.ratios)

    def start(self) -> MetricState:
        begun = super().start()
        return replace(begun, against=Bets.of(self.beyond_bursts), against_in_blocks=Bets.of(BLOCK_RATIOS))

    def grown(self, one: MetricState, growth: Growth) -> MetricState:
        one = _waiting(_counted(one, growth), growth)
        n, m = one.pending
        if n.total > 0 and m.total > 0:
            one = replace(one, pending=(Counts(), Counts()))
        if self.gate.burst_ratio:
            against = one.against.begun_anew(self.due(growth.begins))
            lull = one.lull
            if n.total > 0 and m.total > 0:
                lull = one.lull.grown(m, self.stretch(growth.begins))
                lacking = lull.added(one.lull)
                against = against.grown(
                    relative(self.beyond_bursts, self.gate.burst_ratio, n, m, lacking=lacking)
                )
            one = replace(one, against=against, lull=lull)
        one, block = self.filled(one, growth)
        if block is None:
            return one
        k, tolerance = self.metric.tolerated_odds, self.metric.absolute_tolerance
        within = bounded(self.parts, tolerance, self.burst_ratio, block.canary) if self.parts else ()
        against = one.against_in_blocks.grown(as_bad(BLOCK_RATIOS, block.canary, block.stable))
        return replace(
            one,
            against_in_blocks=against.begun_anew(self.due(growth.ends)),
            within_ratio=one.within_ratio.grown(
                times_as_bad(self.ratios_in_blocks, k, block.canary, block.stable)
            ),
            within_tolerance=one.within_tolerance.grown(within),
        )


@dataclass(frozen=True)
class Alone(Rule):
    """Canary without stable beside it, against what is recorded."""

    baseline: Baseline
    bound_alarm: float
    """probability that the recorded rate is above its upper bound; the lower bound takes `false_pass`"""

    def __post_init__(self) -> None:
        if self.metric.kind == "throughput":
            raise GateError(
                "the canary runs alone: there is no other version's throughput to compare with",
                where=f"metric {self.metric.name}",
                remedy="take it out of the gates that a service of its new version alone goes through, and give them a gauge of "
                "what waits in the queue",
            )
        if self.baseline.counts.total == 0 and self.metric.absolute_tolerance == 0:
            raise GateError(
                "nothing is recorded of stable, and absolute_tolerance is 0: there is nothing to compare with",
                where=f"metric {self.metric.name}",
                remedy="run a gate with both versions before, or give an absolute_tolerance",
            )

    @cached_property
    def by_hour(self) -> HourlyBounds | None:
        """The bounds by time of day; None where one record stands for all times."""
        if not self.baseline.by_hour:
            return None
        return HourlyBounds(self.baseline.by_hour, self.bound_alarm, self.false_pass)

    def bounds(self, growth: Growth, *, opens: float | None = None) -> tuple[float, float]:
        """`expected` and `tolerated` for what was counted in the growth, or in the block that opened then and ends with it."""
        if self.by_hour is None:
            return self.expected, self.tolerated
        if growth.began is None:
            raise RuntimeError("what is recorded by time of day is compared with at a time")
        lower, upper = self.by_hour.over(growth.began, growth.begins if opens is None else opens, growth.ends)
        return upper, max(self.metric.tolerated_odds * lower, self.metric.absolute_tolerance)

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

    def grown(self, one: MetricState, growth: Growth) -> MetricState:
        one = _counted(one, growth)
        expected, tolerated = self.bounds(growth)
        against = one.against.begun_anew(self.due(growth.begins))
        return replace(
            one,
            against=against.grown(absolute(self.metric.fail_odds, expected, growth.canary)),
            within_tolerance=one.within_tolerance.grown(absolute(TOLERATED_PARTS, tolerated, growth.canary)),
        )


@dataclass(frozen=True)
class AloneInBursts(Alone):
    """Canary without stable beside it, in blocks."""

    def start(self) -> MetricState:
        beyond = self.metric.fail_odds if self.gate.burst_ratio else ()
        return replace(super().start(), against=Bets.of(beyond), against_in_blocks=Bets.of(MEAN_STAKES))

    def grown(self, one: MetricState, growth: Growth) -> MetricState:
        one = _counted(one, growth)
        limit, odds = self.gate.burst_ratio, self.metric.fail_odds
        if limit:
            against = one.against.begun_anew(self.due(growth.begins))
            expected, _ = self.bounds(growth)
            one = replace(one, against=against.grown(absolute(odds, limit * expected, growth.canary)))
        one, block = self.filled(one, growth, alone=True)
        if block is None:
            return one
        most = limit or math.inf
        expected, tolerated = self.bounds(growth, opens=block.opens)
        against = one.against_in_blocks.grown(above(expected, block.canary))
        return replace(
            one,
            against_in_blocks=against.begun_anew(self.due(growth.ends)),
            within_tolerance=one.within_tolerance.grown(
                bounded(TOLERATED_PARTS, tolerated, most, block.canary)
            ),
        )


def _counted(one: MetricState, growth: Growth) -> MetricState:
    return replace(one, canary=one.canary + growth.canary, stable=one.stable + growth.stable)


def _waiting(one: MetricState, growth: Growth) -> MetricState:
    return replace(one, pending=(one.pending[0] + growth.canary, one.pending[1] + growth.stable))
