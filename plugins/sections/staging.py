"""Sections 3.1 and 3.2 of the plan: the new release in staging, its gate, and the end-to-end tests."""

from __future__ import annotations

from airflow.sdk import TaskGroup, chain

from roundtrip.plan.model import Plan
from sections.gate_of import gate_of
from sections.steps_of import StepsOf


def staging(plan: Plan) -> TaskGroup:
    """Stable → snapshot → canary → gate → all traffic → smoke tests, one after the other: they share an environment."""
    with TaskGroup("staging", tooltip="3.1 Staging rollout, 3.2 Smoke and integration tests") as group:
        step = StepsOf(plan)
        chain(
            step(
                "deploy_stable",
                "staging.rollout:deploy_stable",
                f"3.1 Staging runs {plan.from_version}, verified by signature.",
            ),
            step(
                "snapshot",
                "staging.rollout:snapshot",
                "4.2 Keep the last known good release, state included.",
            ),
            step(
                "place_canary",
                "staging.rollout:place_canary",
                "3.1 Deploy the new release by canary or blue/green.",
            ),
            gate_of(
                plan,
                "gate",
                gate_id="staging.canary",
                gate=plan.staging.gate,
                stage="staging",
                sentence="3.1 Monitor latency, error rates and order throughput.",
            ),
            step(
                "take_all_traffic",
                "staging.rollout:take_all_traffic",
                "3.1 After PASS: the new release alone.",
            ),
            *[
                step(
                    name.replace("-", "_"),
                    "smoke.runner:run_smoke",
                    f"3.2 End-to-end test: {name.replace('-', ' ')}.",
                    arguments={"stage": "staging", "version": plan.to_version, "names": [name]},
                )
                for name in plan.staging.smoke
            ],
        )
    return group
