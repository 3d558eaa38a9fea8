"""What every task of a release is given: its plan, its environments, its ledger, its folders and its secrets.

Rules:
1. A task takes what it knows from the ledger, never from another task's return value.
2. Secrets are fetched when they are used and never kept on this object.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip.errors import PlanError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan

SecretsSource = Callable[[str], Mapping[str, str]]
"""Airflow connection id -> its secret values by name. Raises SecretError."""


@dataclass(frozen=True)
class Home:
    """The state folder: everything that Roundtrip keeps on this machine is below `root`."""

    root: Path

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.root / 'ledger.db'}"

    @property
    def store(self) -> Path:
        """Content-addressed bundles and the release store, laid out like GitHub releases."""
        return self.root / "store"

    @property
    def cache(self) -> Path:
        """Downloads and dependency folders by lockfile digest; may be deleted at any time."""
        return self.root / "cache"

    @property
    def repository(self) -> Path:
        """The bare remote of the platform under release."""
        return self.root / "platform" / "remote.git"

    def environment(self, name: str) -> Path:
        """The folder of one environment's target."""
        return self.root / "environments" / name

    def release(self, release_id: str) -> Path:
        """Work trees, reports and the dossier of one release."""
        return self.root / "releases" / release_id


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

    @property
    def folder(self) -> Path:
        return self.home.release(self.id)

    def environment(self, stage: str) -> Environment:
        if stage not in self.environments:
            raise PlanError(
                f"no environment for stage '{stage}', known: {', '.join(sorted(self.environments))}",
                where=f"release {self.id}",
                remedy="add a file to include/environments with this stage",
            )
        return self.environments[stage]
