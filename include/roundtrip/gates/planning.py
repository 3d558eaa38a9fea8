"""Planning: how long a gate needs to pass with the traffic that is there, so that one that cannot is refused
early.

Rules:
1. The time is what a canary as good as stable needs; with a bad one a gate ends sooner.
2. It is an expectation; half of the gates need longer. A deadline of twice that is comfortable.
"""

from __future__ import annotations

import math

from roundtrip.errors import GateError
from roundtrip.gates.comparison import TOLERATED_PARTS, Compared
from roundtrip.gates.eprocess import log_mean
from roundtrip.plan.model import Gate, Metric

MOST_REQUESTS = 10**12
"""More than this never comes."""


def traffic_needed(
    gate: Gate, requests_per_second: float, canary_share: float, *, error_rate: float = 0.0
) -> float:
    """Seconds until PASS, when both versions have `error_rate`; infinite when it can never be.

    `canary_share` is above 0 and at most 1; 1 means that the canary runs alone.
    """
    if not 0 < canary_share <= 1 or requests_per_second <= 0 or not 0 <= error_rate < 1:
        raise RuntimeError(f"no traffic: {requests_per_second}/s, share {canary_share}, errors {error_rate}")
    requests = max(_requests_needed(gate, metric, canary_share, error_rate) for metric in gate.metrics)
    seconds = max(requests, gate.minimum_requests) / (requests_per_second * canary_share)
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


def _requests_needed(gate: Gate, metric: Metric, share: float, error_rate: float) -> float:
    alone = share == 1
    needed = -math.log(gate.false_pass / 2 if alone else gate.false_pass)
    tolerance = metric.absolute_tolerance
    by_rate = [error_rate * math.log(f) - tolerance * (f - 1) for f in TOLERATED_PARTS]
    k, m = metric.tolerated_odds, (1 - share) / share
    by_ratio = [
        error_rate * (math.log(r / k) + (1 + m) * math.log((k + m) / (r + m)))
        for r in Compared(metric, gate.false_pass).ratios
    ]

    def log_value(requests: float) -> float:
        parts = [] if alone else [log_mean([requests * growth for growth in by_ratio])]
        if tolerance:
            parts.append(log_mean([requests * growth for growth in by_rate]))
        return log_mean(parts) if parts else -math.inf

    low, high = 0.0, 1.0
    while log_value(high) < needed:
        low, high = high, high * 2
        if high > MOST_REQUESTS:
            return math.inf
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if log_value(middle) < needed else (low, middle)
    return math.ceil(high)
