"""Section 4 of the plan: the same steps after a failed gate, a failed task, or by hand."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup, chain

from roundtrip.plan.model import Plan
from sections.steps_of import StepsOf

OFTEN: dict[str, Any] = {
    "retries": 5,
    "retry_exponential_backoff": 2.0,
    "max_retry_delay": timedelta(seconds=30),
}
"""A rollback step is tried more often than a step forward, and for longer: the way back is the one that has to work. Soon
first, later with the patience that a full disk or a database that comes back asks for: a minute or two in all."""
GO_ON: dict[str, Any] = {"trigger_rule": "none_skipped"}
"""Also when the step before has failed, not when there was nothing to do: each of these steps does the one before it
again, and more. What could not be pulled may still be stopped, and what could not be stopped replaced."""
SOON = {"retries": 1}
"""for a step that the next one makes up for"""


def rollback(
    plan: Plan, *, why: str, trigger_rule: str = "one_failed", asks_first: str, **common: Any
) -> TaskGroup:
    """Takes the release back and proves it. `asks_first` decides from the ledger whether there is anything to do."""
    with TaskGroup("rollback", tooltip="4 Rollback Strategy") as group:
        step = StepsOf(plan, **OFTEN, **common)
        begin = step(
            "begin",
            "rollback.restoring:begin",
            "4 Close the door to every other task of the release, then take each environment's token.",
            arguments={"why": why},
            trigger_rule=trigger_rule,
            asks_first=f"roundtrip.{asks_first}",
        )
        # Beside the way back: nothing waits for people's channels.
        chain(
            begin,
            step(
                "notify",
                "rollback.communicating:tell_begun",
                "4.5 Notify stakeholders that the rollback is in progress.",
                **GO_ON,
            ),
        )
        chain(
            begin,
            step(
                "pull_traffic",
                "rollback.restoring:pull_traffic",
                "4.1 All traffic to the old release, wherever it still runs.",
                **GO_ON,
                **SOON,
            ),
            step(
                "stop_new_services",
                "rollback.restoring:stop_new_services",
                f"4.1 Stop the {plan.to_version} deployment.",
                **GO_ON,
                **SOON,
            ),
            step(
                "deploy_last_known_good",
                "rollback.restoring:deploy_last_known_good",
                f"4.2 Redeploy {plan.from_version} as the snapshot has it.",
                **GO_ON,
            ),
            step(
                "revert_state",
                "rollback.state:revert_state",
                f"4.3 Flush the new keys created by {plan.to_version}.",
            ),
            step("restore_ui", "rollback.proving:restore_ui", "4.4 Restore UI: stale cookies are ignored."),
            step(
                "smoke_restored",
                "rollback.proving:smoke_restored",
                f"4.2 {plan.from_version} passes its own smoke test.",
            ),
            step("restore_main", "rollback.proving:restore_main", "4.2 The main branch is again what runs."),
            step(
                "verify_restored",
                "rollback.proving:verify_restored",
                "4 Compare with the snapshot: deployment, configuration, Redis key by key.",
            ),
            step(
                "communicate",
                "rollback.communicating:communicate",
                "4.5 Track incident timelines, draft the post-mortem, tell how it ended.",
                **GO_ON,
            ),
        )
    return group
