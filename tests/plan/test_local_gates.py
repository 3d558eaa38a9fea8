"""The gates of the local environments can pass: the traffic that is generated there is enough in the time they have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from roundtrip.gates.planning import traffic_needed
from roundtrip.plan.environment import Environment
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan, Wave
from roundtrip.rollout.expected_traffic import canary_share, expected_requests
from roundtrip.rollout.gate_settings import settings

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


@dataclass(frozen=True)
class Local:
    """The plan in the local environments."""

    plan: Plan

    def environment(self, stage: str) -> Environment:
        return environment(f"local_{stage}")


def seconds_to_pass(plan: Plan, stage: str, gate_name: str, wave: Wave) -> float:
    """What a healthy canary needs in this wave, by its slowest metric, beside the least time that a gate is given."""
    local, each = Local(plan), []
    gate = settings(local, stage, gate_name).model_copy(update={"minimum_seconds": 0.0})
    for metric in gate.metrics:
        requests = expected_requests(local, stage, metric.service)
        assert requests is not None
        rate = SLOW_RATE if metric.kind == "slow" else 0.0
        alone = gate.model_copy(update={"metrics": [metric]})
        share = canary_share(local, stage, metric.service, wave)
        each.append(traffic_needed(alone, requests, share, error_rate=rate))
    return max(each)


def test_staging_passes_in_half_a_minute(plan: Plan) -> None:
    percent = plan.staging.canary_percent
    canary = Wave(number=1, last=False, traffic_percent=percent, worker_step_percent=percent)
    assert seconds_to_pass(plan, "staging", plan.staging.gate, canary) < LONGEST_HEALTHY_SECONDS


def test_every_wave_and_the_soak_pass_in_half_a_minute(plan: Plan) -> None:
    waves = plan.waves()
    assert [(w.traffic_percent, w.workers(3)) for w in waves] == [(10, 1), (50, 2), (100, 3)]
    for wave in waves:
        assert seconds_to_pass(plan, "production", plan.production.gate, wave) < LONGEST_HEALTHY_SECONDS, wave
    assert seconds_to_pass(plan, "production", plan.production.soak_gate, waves[-1]) < LONGEST_HEALTHY_SECONDS


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
