"""How many requests a service gets at a stage, and how many of them its canary: one answer for whoever plans with it.

Rules:
1. What the environment states of a service counts. Of traffic that Roundtrip generates a service gets what the mix
   sends it, and one that works off a queue the orders among it. None: nobody states anything.
2. A client keeps the version that answered it first, so of generated traffic only clients without cookies follow a weight
   that leaves both versions some.
3. A service that works off a queue is shared by replicas; stable keeps its own until it is retired. What only one
   version has is that version's.
"""

from __future__ import annotations

from dataclasses import dataclass

from roundtrip.plan.model import Wave
from roundtrip.rollout.gate_settings import Planned
from roundtrip.traffic.mix import FRESH_PERCENT, share_of


@dataclass(frozen=True)
class Flow:
    """What both versions of a service get each second: requests, or orders of a queue."""

    canary: float
    stable: float


def expected_requests(planned: Planned, stage: str, service: str) -> float | None:
    """Requests (of a queue: orders) each second, both versions together; None when the environment states none."""
    environment = planned.environment(stage)
    stated = environment.expected_requests_per_second.get(service)
    if stated is not None or environment.traffic is None:
        return stated
    is_queue = planned.plan.services[service].queue
    return environment.traffic.requests_per_second * share_of(service, is_queue=is_queue)


def canary_share(planned: Planned, stage: str, service: str, wave: Wave) -> float:
    """The canary's share of a service's requests, or of its orders when it takes them from a queue; 0 to 1."""
    here = planned.plan.services[service]
    if not here.replicas.new or not here.replicas.stable:
        return 1.0 if here.replicas.new else 0.0
    if here.queue:
        new = wave.workers(here.replicas.new)
        return new / (new + here.replicas.stable)
    return share_at(planned, stage, service, wave.traffic_percent)


def share_at(planned: Planned, stage: str, service: str, weight_percent: float) -> float:
    """The share of a service's requests that a version gets at a weight (rule 2)."""
    environment, share = planned.environment(stage), weight_percent / 100
    is_generated = environment.traffic is not None and service not in environment.expected_requests_per_second
    return share * FRESH_PERCENT / 100 if is_generated and share < 1 else share


def expected_flow(planned: Planned, stage: str, service: str, wave: Wave) -> Flow | None:
    """What canary and stable get each second; None when the environment states none."""
    requests = expected_requests(planned, stage, service)
    if requests is None:
        return None
    share = canary_share(planned, stage, service, wave)
    return Flow(requests * share, requests * (1 - share))
