"""A machine without a platform: real ledger, simulated Airflow, simulated targets."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.prepare import Machine
from roundtrip.commands.runs import Runs
from roundtrip.embedded.airflow import Login
from roundtrip.plan.deployment import Deployment, whole
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from tests.commands.airflow_simulator import AirflowSimulator

ROOT = Path(__file__).resolve().parents[2]
PLAN = load_plan(ROOT / "include" / "plans" / "top_tier_trading_1_1_0.yaml")
STAGES = ("staging", "production")


def deployment(version: str) -> Deployment:
    digests = dict.fromkeys(PLAN.services, "sha256:" + "0" * 64)
    return whole(version, PLAN, digests, digests)


@dataclass
class Observed:
    """A target that is only looked at."""

    now: Deployment

    def observe(self) -> Deployment:
        return self.now


@dataclass(frozen=True)
class SimulatedAirflow:
    """Where Airflow is."""

    at: Login

    def login(self) -> Login:
        return self.at


@dataclass(frozen=True)
class SimulatedMachine(Machine):
    """`Machine` whose Airflow and targets are simulated."""

    simulator: AirflowSimulator = field(default_factory=AirflowSimulator)
    targets: dict[str, Observed] = field(default_factory=dict)

    @property
    def airflow(self) -> Any:
        return SimulatedAirflow(self.simulator.login)

    def target(self, stage: str) -> Any:
        return self.targets[stage]


@pytest.fixture
def simulator() -> Iterator[AirflowSimulator]:
    made = AirflowSimulator()
    made.dags = {
        f"{kind}_{PLAN.name}" for kind in ("release", "rollback", "staging_rehearsal", "nightly_rehearsal")
    }
    with made.serving():
        yield made


@pytest.fixture
def api(simulator: AirflowSimulator) -> AirflowApi:
    return AirflowApi(simulator.login)


@pytest.fixture
def machine(simulator: AirflowSimulator, home_folder: Path) -> SimulatedMachine:
    environments = {
        stage: Environment(
            name=f"local_{stage}",
            stage=stage,
            target=LocalTargetSettings(kind="local"),
            secrets_connection=f"{stage}_secrets",
            signing_connection="signing",
        )
        for stage in STAGES
    }
    targets = {stage: Observed(deployment(PLAN.from_version)) for stage in STAGES}
    return SimulatedMachine(Home(home_folder), PLAN, environments, lambda _: None, simulator, targets)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), soft_wrap=True, markup=False, highlight=False, width=400)


@pytest.fixture
def runs(machine: SimulatedMachine, api: AirflowApi, console: Console) -> Runs:
    return Runs(machine, api, console)


def said(console: Console) -> str:
    """What was printed so far."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
