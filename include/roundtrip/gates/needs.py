"""Needs: how much traffic a gate has to get to be decided by its deadline; it says so from its start.

Rules:
1. What is needed is what a canary without a single error needs to pass (`planning.traffic_needed`); a bad one fails
   with less.
2. None means that no amount shows it while nothing fails: it depends on how often stable does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roundtrip.gates.figure import figure
from roundtrip.gates.kinds import unit
from roundtrip.gates.planning import traffic_needed
from roundtrip.plan.model import Gate, Metric

_TRICKLE = 1e-9
"""Canary requests per second so few that the gate's minimum time plays no part in what is needed."""


@dataclass(frozen=True)
class Need:
    """What one metric needs."""

    share: float
    """of the service's requests that the canary gets, 0 to 1; 1: it runs alone"""
    canary_requests: int | None
    requests_per_second: float | None
    """to the service, both versions together, so that they come by the deadline; None also when no time is left"""
    stated: float | None
    """requests per second that the environment states; None when it states none"""
    unit: str = "requests"
    looked_seconds: float | None = None
    """how long a gauge has to be looked at, whatever the traffic; None: it is none"""
    left_seconds: float = math.inf
    """of the gate's deadline, for looking"""

    @property
    def is_enough(self) -> bool:
        """Whether the stated traffic, or the time, is enough, as far as anybody can tell before."""
        if self.looked_seconds is not None:
            return self.looked_seconds <= self.left_seconds
        return (
            self.stated is None or self.requests_per_second is None or self.stated >= self.requests_per_second
        )

    def __str__(self) -> str:
        if self.share == 0:
            return "the canary gets no traffic"
        if self.looked_seconds is not None:
            return f"looks for {self.looked_seconds:.0f} s, whatever the traffic"
        if self.canary_requests is None:
            return "as many as show a ratio, which depends on how often stable fails"
        rate = (
            "" if self.requests_per_second is None else f", {figure(self.requests_per_second)} {self.unit}/s"
        )
        stated = "" if self.stated is None else f" (stated: {figure(self.stated, 6)})"
        return f"{self.canary_requests} canary {self.unit}{rate} at a share of {self.share:.0%}{stated}"

    def to_json(self) -> dict[str, Any]:
        return {
            "share": self.share,
            "canary_requests": self.canary_requests,
            "requests_per_second": self.requests_per_second,
            "stated": self.stated,
            "looked_seconds": self.looked_seconds,
        }


def need(gate: Gate, metric: Metric, share: float, stated: float | None) -> Need:
    """What `metric` of the gate needs when the canary gets `share` of its service's requests."""
    if share == 0:
        return Need(share, None, None, stated)
    alone = gate.model_copy(update={"metrics": [metric], "minimum_seconds": 0.0})
    spent = gate.warm_up_seconds + gate.interval_seconds
    left = gate.deadline_seconds - spent
    if metric.kind == "gauge":
        looked = traffic_needed(alone, 1.0, share) - spent
        return Need(share, None, None, stated, looked_seconds=looked, left_seconds=left)
    requests = (traffic_needed(alone, _TRICKLE / share, share) - spent) * _TRICKLE
    if not math.isfinite(requests):
        return Need(share, None, None, stated)
    per_second = requests / share / left if left > 0 else None
    return Need(share, math.ceil(round(requests, 3)), per_second, stated, unit(metric.kind))


def sentence(gate: Gate, needs: Mapping[str, Need]) -> str:
    """What the gate needs, for the log's first line."""
    each = "; ".join(f"{name}: {one}" for name, one in needs.items())
    return f"to be decided within {gate.deadline_seconds:g} s it needs {each}"
