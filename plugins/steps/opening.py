"""Opens the release that a task belongs to: plan, environments, ledger, folders and secrets.

Imported when a task or trigger runs, never when a DAG file is parsed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from roundtrip.errors import PlanError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.release import Release, no_authorization
from roundtrip.targets import open_target
from roundtrip.targets.protocol import SecretsSource

INCLUDE = Path(__file__).resolve().parents[2] / "include"
STAGES = ("staging", "production")


def home() -> Home:
    """The state folder of this installation."""
    return Home(Path(os.environ.get("ROUNDTRIP_HOME", INCLUDE.parent / ".roundtrip")))


def open_ledger(at: Home) -> Ledger:
    """The ledger: `ROUNDTRIP_LEDGER_URL`, or SQLite in the state folder."""
    return Ledger(os.environ.get("ROUNDTRIP_LEDGER_URL", at.ledger_url))


def ui_address() -> str | None:
    """Where people find Airflow's UI, as its configuration says."""
    from airflow.sdk.configuration import conf

    return conf.get("api", "base_url", fallback=None) or None


def environments(prefix: str) -> dict[str, Environment]:
    """The environments `<prefix>_staging` and `<prefix>_production`, by stage."""
    loaded = {
        stage: load_environment(INCLUDE / "environments" / f"{prefix}_{stage}.yaml") for stage in STAGES
    }
    for stage, environment in loaded.items():
        if environment.stage != stage:
            raise PlanError(
                f"stage: expected {stage}, got {environment.stage}",
                where=f"include/environments/{prefix}_{stage}.yaml",
                remedy="correct the key 'stage'",
            )
    return loaded


def open_release(
    release_id: str,
    plan: str,
    environment: str,
    secrets: SecretsSource,
    *,
    authorization: Callable[[str], str] = no_authorization,
) -> Release:
    """Everything that a task of this release is given. Raises PlanError, LedgerError."""
    at = home()
    loaded = load_plan(INCLUDE / "plans" / f"{plan}.yaml")
    return Release(
        id=release_id,
        plan=loaded,
        environments=environments(environment),
        ledger=open_ledger(at),
        home=at,
        secrets=secrets,
        open_target=lambda place: open_target(place, loaded, at, secrets),
        ui=ui_address(),
        authorization=authorization,
    )


def no_secrets(connection_id: str) -> Mapping[str, str]:
    """What a trigger's release is given: pulling traffic needs no secret, and a source's is fetched asynchronously."""
    raise RuntimeError(f"a trigger asked for the secrets of connection {connection_id}")
