"""Sections 3.4 and 3.5 of the plan: production by waves, a gate after each, the soak, then post-launch."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import BaseOperator, TaskGroup, chain

from gates.acceptance import AcceptanceSensor
from roundtrip.plan.model import Plan
from sections.gate_of import gate_of
from sections.steps_of import StepsOf


def production(plan: Plan) -> TaskGroup:
    """The last step, `require_promoted`, runs whatever happened, and fails unless the ledger says promoted."""
    with TaskGroup("production", tooltip="3.4 Production rollout, 3.5 Post-launch") as group:
        step = StepsOf(plan)
        waves = [
            task
            for wave in plan.waves()
            for task in (
                step(
                    f"wave_{wave.number}",
                    "production.rollout:wave",
                    f"3.4 Progressive rollout: wave {wave.number}, {wave.traffic_percent} % of traffic.",
                    arguments={"number": wave.number},
                ),
                gate_of(
                    plan,
                    f"gate_{wave.number}",
                    gate_id=f"production.wave_{wave.number}",
                    gate=plan.production.gate,
                    stage="production",
                    sentence=f"3.4 Monitor dashboards after wave {wave.number}.",
                ),
            )
        ]
        soak = plan.production.soak_seconds
        promote = step(
            "promote", "production.rollout:promote", "3.4 The soak has passed: retire the old release."
        )
        chain(
            *_door(plan, step),
            step(
                "verify",
                "production.rollout:verify",
                "3.3 Verify both releases' signatures before anything is deployed.",
            ),
            step("merge", "production.rollout:merge", "3.4 Merge the release branch into main."),
            step(
                "snapshot",
                "production.rollout:snapshot",
                "4.2 Keep the last known good release, state included.",
            ),
            step("flags_off", "production.rollout:flags_off", "3.4 Use feature flags: off first."),
            *waves,
            step("flags_on", "production.rollout:flags_on", "3.4 Use feature flags: on after the last wave."),
            gate_of(
                plan,
                "soak",
                gate_id="production.soak",
                gate=plan.production.soak_gate,
                stage="production",
                sentence=f"3.4 Continue monitoring for {soak / 3600:g} hours (an environment may shorten it, and the dossier says so).",
                least_seconds=soak,
            ),
            promote,
        )
        post_launch = step(
            "post_launch", "production.post_launch:post_launch", "3.5 Runbook, documentation, backlog."
        )
        promoted = step(
            "require_promoted",
            "production.rollout:require_promoted",
            "3.4 Deployed and not promoted, for whatever reason: the release is taken back.",
            trigger_rule="all_done",
            retries=0,
        )
        chain(promote, [post_launch, promoted])
    return group


def _door(plan: Plan, step: StepsOf) -> list[BaseOperator]:
    """Before anything of production is touched, where the plan has a one-way door."""
    if plan.rollback.one_way_door is None:
        return []
    return [
        step(
            "put_one_way_door",
            "production.rollout:put_one_way_door",
            "4 What cannot be taken back is put to people, and they are told that it waits for them.",
        ),
        AcceptanceSensor(
            task_id="accept_one_way_door",
            plan=plan.name,
            sentence=f"Waits until a person accepts what cannot be taken back: {plan.rollback.one_way_door}",
            deadline=timedelta(seconds=plan.rollback.acceptance_seconds),
        ),
    ]
