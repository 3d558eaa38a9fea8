"""Planning: how long a gate needs to pass with the traffic that is there, so that one that cannot is refused
early.

Rules:
1. The time is what a canary as good as stable needs; with a bad one a gate ends sooner.
2. It is an expectation; half of the gates need longer. A deadline of twice that is comfortable.
3. Of a throughput the requests are orders, shared like the time of the processes. Of a gauge time is needed, not
   traffic: its looks come whatever is done.
4. In bursts it is a number of whole blocks, each with what it has on average: bursts that do come cost more.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from roundtrip.errors import GateError
from roundtrip.gates.blocks import BLOCK_BURSTS, GUARD_BURSTS, bounded, times_as_bad
from roundtrip.gates.comparison import TOLERATED_PARTS, Compared, ComparedInBursts
from roundtrip.gates.eprocess import log_mean
from roundtrip.gates.evidence import Counts
from roundtrip.gates.kinds import minimum
from roundtrip.plan.model import Gate, Metric

MOST_REQUESTS = 10**12
"""More than this never comes."""

BLOCK_TIME = 10_000
"""Of all processes in a block; any number that is large beside their orders gives the same."""

LEAST_PROBABLE = 1e-9
"""Numbers of bad requests in a block that are rarer than that are left out of an expectation."""


def traffic_needed(
    gate: Gate, requests_per_second: float, canary_share: float, *, error_rate: float = 0.0
) -> float:
    """Seconds until PASS, when both versions have `error_rate`; infinite when it can never be.

    `canary_share` is above 0 and at most 1; 1 means that the canary runs alone.
    """
    if not 0 < canary_share <= 1 or requests_per_second <= 0 or not 0 <= error_rate < 1:
        raise RuntimeError(f"no traffic: {requests_per_second}/s, share {canary_share}, errors {error_rate}")
    per_second = requests_per_second * canary_share
    seconds = max(
        max(
            _seconds_needed(gate.of(metric), metric, per_second, canary_share, error_rate),
            minimum(metric.kind, gate) / per_second,
        )
        for metric in gate.metrics
    )
    return max(gate.minimum_seconds, gate.warm_up_seconds + seconds) + gate.interval_seconds


def refuse_undecidable(
    gate: Gate, requests_per_second: float, canary_share: float, *, error_rate: float = 0.0
) -> float:
    """`traffic_needed`. Raises GateError when that is later than the gate's deadline."""
    seconds = traffic_needed(gate, requests_per_second, canary_share, error_rate=error_rate)
    if seconds > gate.deadline_seconds:
        raise GateError(
            f"with {requests_per_second:g} requests/s and {canary_share:.0%} of them for the canary the gate needs "
            f"{seconds:.0f} s to pass, its deadline is {gate.deadline_seconds:g} s",
            remedy="give the canary a larger share, raise absolute_tolerance, or lengthen the deadline",
        )
    return seconds


def _seconds_needed(gate: Gate, metric: Metric, per_second: float, share: float, error_rate: float) -> float:
    """`per_second` are the canary's requests."""
    if gate.burst_seconds is None:
        return _requests_needed(gate, metric, share, error_rate) / per_second
    counted = 1 / gate.interval_seconds if metric.kind == "gauge" else per_second
    counted *= gate.burst_seconds * (BLOCK_BURSTS - GUARD_BURSTS)
    blocks = _blocks_needed(gate, metric, counted, share, error_rate)
    # A block that would have no canary request lasts until it has one.
    return blocks * gate.burst_seconds * BLOCK_BURSTS * max(1.0, 1 / counted)


def _requests_needed(gate: Gate, metric: Metric, share: float, error_rate: float) -> float:
    alone = share == 1
    needed = _needed(gate, alone=alone)
    tolerance = metric.absolute_tolerance
    by_rate = [error_rate * math.log(f) - tolerance * (f - 1) for f in TOLERATED_PARTS]
    k, m = metric.tolerated_odds, (1 - share) / share
    ratios = Compared(metric, gate, gate.false_pass).ratios
    if metric.kind == "throughput":
        by_ratio = [m * math.log(r / k) + (1 + m) * math.log((k * m + 1) / (r * m + 1)) for r in ratios]
    else:
        by_ratio = [error_rate * (math.log(r / k) + (1 + m) * math.log((k + m) / (r + m))) for r in ratios]

    def log_value(requests: float) -> float:
        parts = [] if alone else [log_mean([requests * growth for growth in by_ratio])]
        if tolerance:
            parts.append(log_mean([requests * growth for growth in by_rate]))
        return log_mean(parts) if parts else -math.inf

    return _least(log_value, needed)


def _blocks_needed(gate: Gate, metric: Metric, requests: float, share: float, error_rate: float) -> float:
    """Whole blocks, each with so many canary requests."""
    alone, n = share == 1, max(1, round(requests))
    rule = ComparedInBursts(metric, gate, gate.false_pass)
    k, tolerance = metric.tolerated_odds, metric.absolute_tolerance
    by_rate = by_ratio = [-math.inf]
    if tolerance:
        empty = bounded(TOLERATED_PARTS, tolerance, gate.burst_ratio or math.inf, Counts(n, 0))
        by_rate = [one + n * error_rate * math.log(f) for one, f in zip(empty, TOLERATED_PARTS, strict=True)]
    if not alone:
        m = max(1, round(n * (1 - share) / share))
        size, each, other = n, n * error_rate, Counts(m, round(m * error_rate))
        if metric.kind == "throughput":
            size, each = round((1 - share) * BLOCK_TIME), n * (1 - share) / share
            other = Counts(round(share * BLOCK_TIME), n)
        drawn = [
            (p, times_as_bad(rule.ratios_in_blocks, k, Counts(size, min(size, bad)), other))
            for bad, p in _poisson(each)
        ]
        by_ratio = [sum(p * logs[i] for p, logs in drawn) for i in range(len(rule.ratios))]

    def log_value(blocks: float) -> float:
        parts = [] if alone else [log_mean([blocks * growth for growth in by_ratio])]
        if tolerance:
            parts.append(log_mean([blocks * growth for growth in by_rate]))
        return log_mean(parts) if parts else -math.inf

    return _least(log_value, _needed(gate, alone=alone))


def _poisson(mean: float) -> list[tuple[int, float]]:
    """Numbers with their probabilities."""
    if mean == 0:
        return [(0, 1.0)]
    far = mean + 10 * math.sqrt(mean) + 10
    each = [(x, math.exp(x * math.log(mean) - mean - math.lgamma(x + 1))) for x in range(int(far))]
    return [(x, p) for x, p in each if p > LEAST_PROBABLE]


def _needed(gate: Gate, *, alone: bool) -> float:
    """Log of the evidence for PASS."""
    return -math.log(gate.false_pass / 2 if alone else gate.false_pass)


def _least(log_value: Callable[[float], float], needed: float) -> float:
    """The smallest whole number with a value of `needed`; infinite when there is none."""
    low, high = 0.0, 1.0
    while log_value(high) < needed:
        low, high = high, high * 2
        if high > MOST_REQUESTS:
            return math.inf
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if log_value(middle) < needed else (low, middle)
    return math.ceil(high)
