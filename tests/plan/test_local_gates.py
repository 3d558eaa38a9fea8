"""The gates of the local environments can pass: the traffic that is generated there is enough in the time they have."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.gates.planning import traffic_needed
from roundtrip.plan.environment import Environment
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Gate, Metric, Plan, Wave
from roundtrip.traffic.mix import FRESH_PERCENT, share_of

INCLUDE = Path(__file__).parents[2] / "include"
LONGEST_HEALTHY_SECONDS = 30.0
"""A gate that somebody watches."""
SLOW_RATE = 0.002
"""Requests above 0.25 s on a machine with two busy cores."""


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(INCLUDE / "plans" / "top_tier_trading_1_1_0.yaml")


def environment(name: str) -> Environment:
    return load_environment(INCLUDE / "environments" / f"{name}.yaml")


def seconds_to_pass(plan: Plan, place: Environment, gate_name: str, wave: Wave) -> float:
    """What a healthy canary needs in this wave, by its slowest metric."""
    gate = plan.gates[gate_name]
    times = place.gates[gate_name].model_dump(exclude_none=True)
    assert place.traffic is not None
    each = []
    for metric in gate.metrics:
        alone = Gate.model_validate({**gate.model_dump(), **times, "metrics": [metric.model_dump()]})
        requests_per_second = place.traffic.requests_per_second * share_of(
            metric.service, is_queue=plan.services[metric.service].queue
        )
        rate = SLOW_RATE if metric.kind == "slow" else 0.0
        each.append(traffic_needed(alone, requests_per_second, share(plan, metric, wave), error_rate=rate))
    return max(each)


def share(plan: Plan, metric: Metric, wave: Wave) -> float:
    service = plan.services[metric.service]
    if not service.queue:
        # Who came before the wave stays with the stable version.
        return wave.traffic_percent / 100 * FRESH_PERCENT / 100
    new = wave.workers(service.replicas.new)
    return new / (new + service.replicas.stable)


def test_staging_passes_in_half_a_minute(plan: Plan) -> None:
    percent = plan.staging.canary_percent
    canary = Wave(number=1, last=False, traffic_percent=percent, worker_step_percent=percent)
    assert (
        seconds_to_pass(plan, environment("local_staging"), plan.staging.gate, canary)
        < LONGEST_HEALTHY_SECONDS
    )


def test_every_wave_and_the_soak_pass_in_half_a_minute(plan: Plan) -> None:
    place = environment("local_production")
    waves = plan.waves()
    assert [(w.traffic_percent, w.workers(3)) for w in waves] == [(10, 1), (50, 2), (100, 3)]
    for wave in waves:
        assert seconds_to_pass(plan, place, plan.production.gate, wave) < LONGEST_HEALTHY_SECONDS, wave
    assert place.soak_seconds is not None
    assert seconds_to_pass(plan, place, plan.production.soak_gate, waves[-1]) < place.soak_seconds


def test_clients_at_rest_leave_the_machine_to_builds_and_tests() -> None:
    for name in ("local_staging", "local_production"):
        traffic = environment(name).traffic
        assert traffic is not None
        assert 0 < traffic.at_rest <= traffic.requests_per_second / 5


def test_what_the_local_environments_shorten_leaves_the_probabilities_alone(plan: Plan) -> None:
    for name in ("local_staging", "local_production"):
        for gate_name, times in environment(name).gates.items():
            gate = plan.gates[gate_name]
            assert times.deadline_seconds is not None
            assert times.deadline_seconds < gate.deadline_seconds
            assert {"false_alarm", "false_pass"}.isdisjoint(times.model_fields_set)


def test_the_rollback_takes_back_every_key_that_only_the_new_version_knows(plan: Plan) -> None:
    unknown = {rule.pattern for rule in plan.rollback.state if not rule.known_to_stable}
    known = {rule.pattern for rule in plan.rollback.state if rule.known_to_stable}
    assert known == {"orders", "control", "fills"}
    assert all(pattern.startswith("risk:") for pattern in unknown)
    assert len(unknown) == 6
