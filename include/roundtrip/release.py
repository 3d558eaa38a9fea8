"""What every task of a release is given: its plan, its environments, its ledger, its folders and its secrets.

Rules:
1. A task takes what it knows from the ledger, never from another task's return value.
2. Secrets are fetched when they are used and never kept on this object.
3. The outside (targets, secrets) is given to it; what opens a release for Airflow gives the real ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import PlanError, SecretError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.protocol import SecretsSource, Target


def release_id(dag_id: str, run_id: str) -> str:
    """The release of a DAG run: names it in the ledger and its folder."""
    return f"{dag_id}.{run_id.replace(':', '-').replace('+', '-')}"


def no_authorization(connection: str) -> str:
    """Of a release that asks no server that wants a login."""
    raise SecretError(
        "no login of a server is given here", where=connection, remedy="let the task of the DAG ask for it"
    )


@dataclass(frozen=True)
class Release:
    """One run of one plan."""

    id: str
    plan: Plan
    environments: Mapping[str, Environment]
    """by stage: staging, production"""
    ledger: Ledger
    home: Home
    secrets: SecretsSource
    open_target: Callable[[Environment], Target]
    ui: str | None = None
    """address of the UI; None when it is not known"""
    authorization: Callable[[str], str] = no_authorization
    """Airflow connection id -> value of an Authorization header, never kept or logged. Raises SecretError"""

    @property
    def repository(self) -> Path:
        """The bare remote that the release works on; a drill has laid one of its own in its folder."""
        own = self.folder / "remote.git"
        return own if own.exists() else self.home.repository

    def target(self, stage: str) -> Target:
        """The target of the environment at this stage."""
        return self.open_target(self.environment(stage))

    @property
    def is_drill(self) -> bool:
        """Whether it is a rehearsal in staging, which has no checklist and publishes nothing."""
        started = self.ledger.last(self.id, "release.started")
        return started is not None and bool(started.data.get("drill"))

    @property
    def way_back(self) -> str:
        """The command that takes it back, or goes on with that."""
        return f"./roundtrip rollback {self.id}"

    @property
    def folder(self) -> Path:
        return self.home.release(self.id)

    @property
    def made(self) -> Path:
        """What the checklist built of the projects that no target runs, in a folder each."""
        return self.folder / "made"

    def environment(self, stage: str) -> Environment:
        if stage not in self.environments:
            raise PlanError(
                f"no environment for stage '{stage}', known: {', '.join(sorted(self.environments))}",
                where=self.id,
                remedy="add a file to include/environments with this stage",
            )
        return self.environments[stage]


__all__ = ["Home", "Release", "release_id"]
