"""History: the judge's rules on many recorded or simulated gates at once, for calibration and benchmarks.

Rules:
1. The verdict and its moment are those of `sequential.Judge` on the same samples; a property test holds both
   together. The formulas are those of `eprocess`, `blocks` and `comparison`, on arrays instead of numbers.
2. Samples are `interval_seconds` apart and complete: staleness and gaps are the judge's.
3. A gate is watched to its deadline also after it could have passed, as in a soak, unless only its verdict is asked
   for; a gate that failed is over.
The last bits of a logarithm differ between the two, so a live gate is never judged here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from roundtrip.gates.blocks import MOST_LEAN, NOISE_SHAPE
from roundtrip.gates.comparison import BLOCK_RATIOS, LULL_DEVIATIONS, Compared, ComparedInBursts
from roundtrip.gates.evidence import Verdict
from roundtrip.gates.kinds import faced, is_of_requests, minimum
from roundtrip.gates.many import (
    Arms,
    Bets,
    BlockBets,
    Flags,
    Floats,
    Ints,
    Recorded,
    absolute,
    bounded,
    log_mean,
)
from roundtrip.gates.many_alone import ManyAlone, ManyAloneInBursts
from roundtrip.gates.sequential import UNCOMPARED_REQUESTS
from roundtrip.plan.model import Gate, Metric

ROWS_AT_ONCE = 256
"""Blocks whose pairs are added up together; bounds the memory."""

CANARYS_WORK = 3
"""Where a throughput's canary has what it finished, when the arms are `faced`."""

TIDY_SAMPLES = 50
"""After so many samples the gates that are over are left out of the arrays."""


@dataclass(frozen=True)
class Outcomes:
    """When each gate first came to what would be its verdict: seconds, infinite for never."""

    failed: Floats
    passed: Floats
    """not after `failed`"""
    uncompared: Floats
    """INCONCLUSIVE for want of a stable arm"""

    def ended(self, verdict: Verdict) -> Floats:
        """When each live gate, which ends with its first verdict, would have ended with this one; infinite: not so."""
        of = {
            Verdict.FAIL: (self.failed, self.failed <= np.minimum(self.uncompared, self.passed)),
            Verdict.INCONCLUSIVE: (
                self.uncompared,
                (self.uncompared < self.failed) & (self.uncompared <= self.passed),
            ),
            Verdict.PASS: (self.passed, self.passed < np.minimum(self.failed, self.uncompared)),
        }
        seconds, is_first = of[verdict]
        return np.where(is_first, seconds, math.inf)

    def verdict(self, gate: int) -> tuple[Verdict | None, float]:
        """What a live gate would have ended with, and when; None when it would go on."""
        for verdict in Verdict:
            seconds = float(self.ended(verdict)[gate])
            if math.isfinite(seconds):
                return verdict, seconds
        return None, math.inf


def judged(
    gate: Gate,
    histories: Mapping[str, Arms],
    recorded: Mapping[str, Recorded] | None = None,
    *,
    to_first_verdict: bool = False,
) -> Outcomes:
    """The outcomes of gates with `histories`, by the metric's name.

    `recorded` names the metrics whose canary runs alone; their stable arm is not looked at. `to_first_verdict`: what
    would come after a gate's verdict is not asked for, which is quicker. Raises GateError.
    """
    alone = dict(recorded or {})
    gates, samples = next(iter(histories.values())).canary.shape
    metrics = [_metric(metric, gate, histories[metric.name], alone) for metric in gate.metrics]
    log_fail = math.log((2 if alone else 1) / gate.false_alarm)
    failed, passed, uncompared = (np.full(gates, math.inf) for _ in range(3))
    rows = np.arange(gates)
    for number in range(1, samples + 1):
        begins, ends = (number - 1) * gate.interval_seconds, number * gate.interval_seconds
        if begins >= gate.deadline_seconds or rows.size == 0:
            break
        if begins >= gate.warm_up_seconds:
            for one in metrics:
                one.grow(number - 1, begins, ends)
        against = log_mean(np.stack([one.log_against() for one in metrics], axis=1))
        failing = against >= log_fail
        failed[rows[failing & np.isinf(failed[rows])]] = ends
        stuck = np.any([one.waiting >= UNCOMPARED_REQUESTS for one in metrics], axis=0)
        uncompared[rows[stuck & np.isinf(uncompared[rows])]] = ends
        if ends >= gate.minimum_seconds:
            good = np.all([one.is_good() for one in metrics], axis=0) & ~failing
            passed[rows[good & np.isinf(passed[rows])]] = ends
        if number % TIDY_SAMPLES == 0:
            alive = np.isinf(failed[rows])
            if to_first_verdict:
                alive &= np.isinf(passed[rows]) & np.isinf(uncompared[rows])
            if not alive.all():
                rows = rows[alive]
                for one in metrics:
                    one.keep(alive)
    return Outcomes(failed, passed, uncompared)


def _metric(metric: Metric, gate: Gate, arms: Arms, alone: Mapping[str, Recorded]) -> _Many | ManyAlone:
    gate = gate.of(metric)
    if metric.name in alone:
        many_alone = ManyAlone if gate.burst_seconds is None else ManyAloneInBursts
        return many_alone(metric, gate, arms, alone[metric.name], gate.false_alarm / (2 * len(alone)))
    many = _Many if gate.burst_seconds is None else _ManyInBursts
    return many(metric, gate, arms)


class _Many:
    """`comparison.Compared` of many gates."""

    def __init__(self, metric: Metric, gate: Gate, arms: Arms) -> None:
        gates = arms.canary.shape[0]
        self._rule = self._rule_of(metric, gate)
        self._gate = gate
        # By sample first, so that what belongs together lies together.
        canary, stable = (arms.canary, arms.canary_bad), (arms.stable, arms.stable_bad)
        self._arms = np.stack([one.T for arm in faced(metric.kind, canary, stable) for one in arm], axis=1)
        self._amount = CANARYS_WORK if metric.kind == "throughput" else 0
        self._rows = np.arange(gates)
        self._pending = np.zeros((4, gates), dtype=np.int64)
        self._total = np.zeros(gates, dtype=np.int64)
        self._against = Bets(gates, self._fail_ratios(), self._rule.restarts)
        self._within_ratio = Bets(gates, self._rule.ratios, 0)
        self._within_tolerance = Bets(gates, self._rule.parts, 0)

    def _rule_of(self, metric: Metric, gate: Gate) -> Compared:
        return Compared(metric, gate, gate.false_pass)

    def _fail_ratios(self) -> Sequence[float]:
        return self._rule.metric.fail_odds

    @property
    def waiting(self) -> Ints:
        """Canary requests that have no request to stable beside them yet."""
        if not is_of_requests(self._rule.metric.kind):
            return np.zeros(self._rows.size, dtype=np.int64)
        waiting: Ints = self._pending[0]
        return waiting

    def grow(self, at: int, begins: float, ends: float) -> None:
        counted = self._arms[at][:, self._rows]
        self._total += counted[self._amount]
        self._pending += counted
        both = (self._pending[0] > 0) & (self._pending[2] > 0)
        pair = np.where(both, self._pending, 0)
        self._pending = np.where(both, 0, self._pending)
        self._against.begin_anew(self._rule.due(begins), np.ones(both.size, dtype=bool))
        self._compare(pair, counted, begins, ends)

    def _compare(self, pair: Ints, counted: Ints, begins: float, ends: float) -> None:  # noqa: ARG002
        k, tolerance = self._rule.metric.tolerated_odds, self._rule.metric.absolute_tolerance
        self._against.grow(_relative(self._fail_ratios(), 1.0, pair))
        self._within_ratio.grow(_relative(self._rule.ratios, k, pair))
        if self._rule.parts:
            self._within_tolerance.grow(absolute(self._rule.parts, tolerance, counted[:2]))

    def log_against(self) -> Floats:
        return self._against.log_value_with_restarts()

    def is_good(self) -> Flags:
        """Whether PASS lacks nothing but time."""
        each = [one.log_value() for one in (self._within_ratio, self._within_tolerance) if one.logs.shape[1]]
        enough = log_mean(np.stack(each, axis=1)) >= math.log(1 / self._rule.false_pass)
        wanted = minimum(self._rule.metric.kind, self._gate)
        good: Flags = enough & (self._total >= wanted) & (self.waiting == 0)
        return good

    def keep(self, alive: Flags) -> None:
        self._rows = self._rows[alive]
        self._pending, self._total = self._pending[:, alive], self._total[alive]
        for bets in (self._against, self._within_ratio, self._within_tolerance):
            bets.keep(alive)


class _ManyInBursts(_Many):
    """`comparison.ComparedInBursts` of many gates."""

    _rule: ComparedInBursts

    def __init__(self, metric: Metric, gate: Gate, arms: Arms) -> None:
        super().__init__(metric, gate, arms)
        gates = arms.canary.shape[0]
        self._in_blocks = BlockBets(4, gates, gate, BLOCK_RATIOS, self._rule.restarts)
        self._stretch = np.full(gates, -1, dtype=np.int64)
        self._lull = np.zeros((5, gates))
        """stable's total and bad, both again within the stretch, and what it lacks there"""

    def _rule_of(self, metric: Metric, gate: Gate) -> Compared:
        return ComparedInBursts(metric, gate, gate.false_pass)

    def _fail_ratios(self) -> Sequence[float]:
        return self._rule.beyond_bursts

    def _compare(self, pair: Ints, counted: Ints, begins: float, ends: float) -> None:
        rule = self._rule
        if rule.beyond_bursts:
            filled = self._without_lull(pair, rule.stretch(begins))
            self._against.grow(_relative(rule.beyond_bursts, rule.burst_ratio, filled))
        self._in_blocks.count(counted, begins, ends, rule.due, self._settled)

    def _without_lull(self, pair: Ints, stretch: int) -> Floats:
        """`comparison.Lull`: the pairs, with what stable lacks added to its bad ones."""
        there = pair[0] > 0
        new = there & (self._stretch != stretch)
        self._stretch[there] = stretch
        self._lull[2:, new] = 0.0
        self._lull[:4] += pair[[2, 3, 2, 3]]
        total, bad, within, within_bad, lacking = self._lull
        expected = bad / np.maximum(total, 1) * within
        now = expected - LULL_DEVIATIONS * np.sqrt(expected) - within_bad
        added = np.where(there, np.maximum(now - lacking, 0.0), 0.0)
        lacking += added
        filled = pair.astype(np.float64)
        filled[3] += added
        return filled

    def _settled(self, block: Ints, rows: Ints) -> Floats:
        rule, k = self._rule, self._rule.metric.tolerated_odds
        n, x, m, y = block
        a = np.minimum(n, (m / k).astype(np.int64))
        pairs = _paired(rule.ratios_in_blocks, (m, y, (k * a).astype(np.int64)), (n, x, a))
        self._within_ratio.grow(pairs, rows)
        if rule.parts:
            within = bounded(rule.parts, rule.metric.absolute_tolerance, rule.burst_ratio, block[:2])
            self._within_tolerance.grow(within, rows)
        size = np.minimum(n, m)
        return _paired(BLOCK_RATIOS, (n, x, size), (m, y, size))

    def log_against(self) -> Floats:
        return self._in_blocks.log_against(super().log_against() if self._rule.beyond_bursts else None)

    def keep(self, alive: Flags) -> None:
        super().keep(alive)
        self._in_blocks.keep(alive)
        self._stretch, self._lull = self._stretch[alive], self._lull[:, alive]


def _relative(ratios: Sequence[float], k: float, pair: Ints | Floats) -> Floats:
    """`eprocess.relative`; 0 where there is no pair."""
    n, x, m, y = pair[:, :, None]
    m = np.where(n > 0, m, 1)
    r = np.array(ratios)
    factors: Floats = x * np.log(r / k) + (x + y) * np.log((k * n + m) / (r * n + m))
    return factors


def _paired(
    ratios: Sequence[float], first: tuple[Ints, Ints, Ints], second: tuple[Ints, Ints, Ints]
) -> Floats:
    """`blocks.paired`: of each arm total, bad and size."""
    rows = first[0].size
    factors = np.zeros((rows, len(ratios)))
    for begin in range(0, rows, ROWS_AT_ONCE):
        part = slice(begin, begin + ROWS_AT_ONCE)
        p, x = _thinned(*(each[part] for each in first))
        q, y = _thinned(*(each[part] for each in second))
        x, y, weight = x[:, :, None], y[:, None, :], p[:, :, None] * q[:, None, :]
        for column, r in enumerate(ratios):
            mean = (x + y) / (1 + r)
            slope = np.log(r * (NOISE_SHAPE + mean) / (NOISE_SHAPE + r * mean)) / 2
            lean = MOST_LEAN * np.tanh((x - y) * slope)
            factors[part, column] = np.log1p((weight * lean).sum(axis=(1, 2)))
    factors[(first[2] == 0) | (second[2] == 0)] = 0.0
    return factors


def _thinned(total: Ints, bad: Ints, size: Ints) -> tuple[Floats, Ints]:
    """`blocks.thinned`: probabilities and numbers, of shape (rows, most numbers)."""
    if (size == total).all():
        return np.ones((size.size, 1)), bad[:, None]
    each, bad = np.divmod(bad, total)
    number = np.arange(int(min(bad.max(), size.max())) + 1)[None, :]
    t, b, s = total[:, None], bad[:, None], size[:, None]
    there = (number <= b) & (number <= s) & (s - number <= t - b)
    j = np.where(there, number, 0)
    i = np.where(there, s - j, 0)
    logs = _log_choose(b, j) + _log_choose(np.maximum(t - b, i), i) - _log_choose(t, s)
    p = np.where(there, np.exp(np.minimum(logs, 0.0)), 0.0)
    return p, each[:, None] * s + number


def _log_choose(n: Ints, k: Ints) -> Floats:
    table = _log_factorials(int(n.max()))
    k = np.minimum(k, n)
    logs: Floats = table[n] - table[k] - table[n - k]
    return logs


_table: Floats = np.zeros(1)


def _log_factorials(most: int) -> Floats:
    """Logs of 0! to most!, computed once."""
    global _table  # noqa: PLW0603 - a table of constants that grows
    if _table.size <= most:
        _table = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, 2 * most + 2)))])
    return _table
