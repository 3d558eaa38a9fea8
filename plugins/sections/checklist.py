"""Section 2 of the plan, items 1 to 9: every item inspects or does, the report stops the release on findings."""

from __future__ import annotations

from airflow.sdk import TaskGroup, chain

from roundtrip.plan.model import Plan
from sections.steps_of import StepsOf

ITEMS = {
    "audit_dependencies": "2.2 Review package.json, poetry.lock and Dockerfiles for outdated packages; Node 18 → 20; lockfiles.",
    "secrets": "2.3 Fill in all required variables. Avoid committing secrets to version control.",
    "manifests": "2.4 Apply the changes to docker-compose.yml and k8s/deployment.yaml; update Terraform scripts.",
    "code_changes": "2.5 Implement code changes.",
    "linters": "2.6 Execute ESLint for the API and UI, Ruff and Mypy for Python services.",
    "tests": "2.7 Run Jest, react-testing-library and Pytest. Ensure coverage meets the agreed threshold.",
    "containers": "2.8 Run docker compose build. Confirm that images build and environment variables are consumed.",
    "release_candidate": "2.9 Build a release candidate: the commit that everything after is built from.",
}


def checklist(plan: Plan) -> TaskGroup:
    """`open` → release branch → its checkout → all other items → report."""
    with TaskGroup("checklist", tooltip="2 Pre-Upgrade Checklist") as group:
        step = StepsOf(plan)
        opened = step(
            "open_release",
            "rollout.opening:open_release",
            "1 Overview: what is released, where, from which plan.",
            arguments={
                "triggered_by": "{{ dag_run.triggering_user_name or 'scheduler' }}",
                "fault": "{{ params.fault or '' }}",
            },
        )
        branch = step(
            "release_branch",
            "checklist.items:release_branch",
            "2.1 Branch from main into release/v1.1.0 and protect it from direct pushes.",
        )
        source = step(
            "prepare",
            "checklist.items:prepare",
            "2 Check out the release branch and install what its projects need.",
        )
        items = [step(name, f"checklist.items:{name}", sentence) for name, sentence in ITEMS.items()]
        report = step(
            "report",
            "checklist.items:report",
            "2 All findings of all items; one that stops the release fails here, before anything is built.",
            trigger_rule="all_done",
        )
        chain(opened, branch, source, items, report)
    return group
