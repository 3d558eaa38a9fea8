"""Whose an environment is: what a release acted on is never deployed over by a preparation."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from roundtrip.commands import prepare
from roundtrip.commands.prepare import Machine
from roundtrip.embedded.secrets import make_secrets
from roundtrip.sign.keys import new_keys
from roundtrip.targets.local.instances import Instance
from roundtrip.toolchain.projects import Toolchain
from tests.commands.conftest import SimulatedMachine


@pytest.fixture
def local(machine: SimulatedMachine) -> Machine:
    """The real machine of the same state folder."""
    make_secrets(machine.home, machine.environments, new_keys)
    return Machine(machine.home, machine.plan, machine.environments, machine.say)


def place(machine: Machine, stage: str) -> None:
    """An instance that is placed and does not run, as after a power cut."""
    folder: Path = machine.home.environment(machine.environments[stage].name) / "instances"
    folder.mkdir(parents=True, exist_ok=True)
    placed = Instance("api", "1.1.0", 1, "sha256:b", "hmac-sha256:c", 20_001, "/healthz", None)
    (folder / f"{placed.name}.json").write_text(json.dumps(asdict(placed)))


def test_an_environment_that_nobody_acted_on_is_the_preparations(local: Machine) -> None:
    assert prepare._is_ours(local, "production")


def test_what_a_release_placed_stays_although_none_of_it_runs(local: Machine) -> None:
    local.ledger.take_token("local_production", release=prepare.SETUP, holder="prepare")
    local.ledger.take_token("local_production", release="r", holder="production.wave_1")
    place(local, "production")
    assert not prepare._is_ours(local, "production")


def test_down_ends_a_command_whose_task_was_killed(local: Machine) -> None:
    """A test run of the platform, in a process group of its own: nobody waits for it any more."""
    env = Toolchain(local.home.cache, 20, lambda _: None).environment([])
    command = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(600)"], env=env, start_new_session=True
    )
    prepare.stop_everything(local.home)
    assert command.wait(10) == -signal.SIGTERM


def test_a_preparation_that_was_killed_half_way_is_finished(local: Machine) -> None:
    local.ledger.take_token("local_production", release=prepare.SETUP, holder="prepare")
    local.ledger.take_token("local_staging", release="r", holder="staging.deploy")
    place(local, "production")
    assert prepare._is_ours(local, "production")


def test_an_environment_whose_folder_was_deleted_is_made_anew(local: Machine) -> None:
    local.ledger.take_token("local_production", release="r", holder="production.promote")
    assert prepare._is_ours(local, "production")
