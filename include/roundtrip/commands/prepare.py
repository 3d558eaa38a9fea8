"""Prepares this machine for a release: what stands, what runs, what was released before.

Rules:
1. Every step may be repeated and changes nothing that is right already.
2. The stable version was built, signed and published as any other; it is made here once, by the same code.
3. An environment that only this preparation has acted on is brought to the plan's stable version. What a release acted
   on is left as the release left it, also while its processes are still coming up: nothing is deployed over it here.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from roundtrip.build.artefacts import make_stable
from roundtrip.embedded.airflow import EmbeddedAirflow
from roundtrip.embedded.secrets import local_secrets, make_secrets
from roundtrip.errors import LedgerError, PlanError, TargetError
from roundtrip.forge import lay_platform
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import whole
from roundtrip.plan.environment import ComposeTargetSettings, Environment, image_settings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.sign.attesting import Build, attest_build
from roundtrip.sign.keys import new_keys, signing_key
from roundtrip.sign.publishing import publish_folder
from roundtrip.sign.signing import sign_folder
from roundtrip.supervision.daemon import Daemon, Program
from roundtrip.supervision.leftovers import end_leftovers, with_variable
from roundtrip.targets import open_target
from roundtrip.targets.bundles import BundleStore
from roundtrip.targets.compose.infrastructure import ComposeInfrastructure
from roundtrip.targets.target import LoopbackTarget
from roundtrip.toolchain.projects import COMMAND_OF
from roundtrip.traffic.rate import traffic_folder
from roundtrip.verification.attestations import Expected, verify_attestations
from roundtrip.verification.published import (
    bundle_name,
    load_public_key,
    read_images,
    services_of,
    verify_release,
)

ROOT = Path(__file__).resolve().parents[3]
INCLUDE = ROOT / "include"
STAGES = ("staging", "production")
SETUP = "setup"
"""Stands in the ledger where a release would, for what is done before any release."""
AWAKE_LIMIT_SECONDS = 60
POLL_SECONDS = 0.2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Machine:
    """This machine, one plan and its environments."""

    home: Home
    plan: Plan
    environments: Mapping[str, Environment]
    say: Say

    @property
    def airflow(self) -> EmbeddedAirflow:
        return EmbeddedAirflow(self.home, ROOT)

    @property
    def ledger(self) -> Ledger:
        return Ledger(ledger_url(self.home))

    def secrets(self, connection: str) -> Mapping[str, str]:
        return local_secrets(self.home)(connection)

    def environment(self, stage: str) -> Environment:
        """The environment of `staging` or `production`."""
        return self.environments[stage]

    def target(self, stage: str) -> LoopbackTarget[Any]:
        """The environment of `staging` or `production`. Raises PlanError for one that is not on this machine."""
        environment = self.environments[stage]
        opened = open_target(environment, self.plan, self.home, self.secrets)
        if not isinstance(opened, LoopbackTarget):
            raise PlanError(
                f"target.kind: {environment.target.kind} is not on this machine",
                where=f"environment {environment.name}",
                remedy="release to it from Airflow",
            )
        return opened

    def release(self, release_id: str) -> Release:
        """A release on this machine, as its tasks are given it."""
        return Release(
            id=release_id,
            plan=self.plan,
            environments=self.environments,
            ledger=self.ledger,
            home=self.home,
            secrets=self.secrets,
            open_target=lambda environment: self.target(environment.stage),
        )


def state_folder() -> Home:
    """`ROUNDTRIP_HOME`, or `.roundtrip` beside the checkout."""
    return Home(Path(os.environ.get("ROUNDTRIP_HOME", ROOT / ".roundtrip")).resolve())


def ledger_url(home: Home) -> str:
    """`ROUNDTRIP_LEDGER_URL`, or SQLite in the state folder."""
    return os.environ.get("ROUNDTRIP_LEDGER_URL", home.ledger_url)


def existing_ledger(home: Home) -> Ledger:
    """The ledger, for who only reads. Raises LedgerError where there is none yet; none is made."""
    url = ledger_url(home)
    file = make_url(url).database
    if url.startswith("sqlite") and not Path(file or "").is_file():
        raise LedgerError("there is no ledger", where=str(file), remedy="./roundtrip release begins one")
    return Ledger(url)


def open_machine(plan: str, prefix: str, say: Say) -> Machine:
    """Read the plan and its environments. Raises PlanError before anything is touched."""
    home = state_folder()
    path = INCLUDE / "plans" / f"{plan}.yaml"
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise PlanError(
            f"no plan '{plan}', known: {known}", where=str(path.parent), remedy="name one of them"
        )
    files = {stage: INCLUDE / "environments" / f"{prefix}_{stage}.yaml" for stage in STAGES}
    environments = {stage: load_environment(file) for stage, file in files.items()}
    image_settings(environments)
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Machine(home, load_plan(path), environments, say)


def open_recorded(release: str, say: Say) -> Release:
    """A release that has begun, as the ledger has it. Raises LedgerError, PlanError before anything is touched."""
    return machine_of(release, say).release(release)


def machine_of(release: str, say: Say) -> Machine:
    """This machine, with the plan and environments of a release that has begun. Raises LedgerError, PlanError."""
    started = existing_ledger(state_folder()).last(release, "release.started")
    if started is None:
        raise LedgerError(
            f"expected an event release.started of '{release}', got none",
            where="the ledger",
            remedy="./roundtrip status names the newest release, a dossier's title its own",
        )
    prefix = str(started.data["environments"]["staging"]).removesuffix("_staging")
    return open_machine(str(started.data["plan"]), prefix, say)


def make_keys(machine: Machine) -> None:
    """The local environments' secrets and the signing keys."""
    make_secrets(machine.home, machine.environments, new_keys)


def lay(machine: Machine, fault: str) -> None:
    """The platform's repository, whose working branch carries `fault` when one is named."""
    commit = lay_platform(machine.home.repository, machine.plan, fault=fault)
    machine.say(
        f"repository: working branch at {commit[:12]}" + (f", with the fault '{fault}'" if fault else "")
    )


def publish_stable(machine: Machine) -> dict[str, dict[str, str]]:
    """The stable version's digests by stage and service; built, signed and published when it was not yet."""
    plan, home = machine.plan, machine.home
    folder = home.releases / f"{plan.repository.tag_prefix}{plan.from_version}"
    connection = machine.environment("production").signing_connection
    secrets = machine.secrets(connection)
    if not folder.exists():
        machine.say(f"building {plan.from_version}, once")
        made = home.root / "platform" / f"making-{plan.from_version}"
        commit = make_stable(plan, home, home.repository, made, image_settings(machine.environments))
        key = signing_key(secrets, connection)
        sign_folder(made, key)
        tag = f"refs/tags/{plan.repository.tag_prefix}{plan.from_version}"
        attest_build(made, plan, Build(plan.from_version, commit, tag, SETUP, None, None), key)
        publish_folder(made, home, plan, plan.from_version, commit)
    trusted, version = load_public_key(secrets["public_key"]), plan.from_version
    digests = verify_release(folder, version, services_of(plan, version), trusted)
    verify_attestations(folder / "assets", Expected(plan, version, None, datetime.now(UTC)), trusted)
    store = BundleStore(home.store)
    for service, digest in digests.items():
        if not store.path(digest).exists():
            store.put(folder / "assets" / bundle_name(service, plan.from_version))
    return {
        stage: read_images(folder / "assets", version, digests) if environment.form == "image" else digests
        for stage, environment in machine.environments.items()
    }


def wake_environments(machine: Machine) -> None:
    """Start again what ran in environments that were up before; a release that goes on finds them as they were."""
    for stage in STAGES:
        infrastructure = machine.target(stage).infrastructure
        if (infrastructure.folder / "ports.json").exists():
            infrastructure.up()


def start_environments(machine: Machine, stable: Mapping[str, Mapping[str, str]]) -> None:
    """Both environments up, at the stable version unless a release acted on them; their traffic runs."""
    for stage in STAGES:
        target, environment = machine.target(stage), machine.environment(stage)
        addresses = target.infrastructure.up()
        if _is_ours(machine, stage):
            version = machine.plan.from_version
            desired = whole(version, machine.plan, stable[stage], target.configurations(version))
            token = machine.ledger.take_token(environment.name, release=SETUP, holder="prepare")
            target.converge(desired, token)
        else:
            _wait_awake(target)
        start_traffic(machine, stage)
        machine.say(f"{environment.name}: {addresses.front_door}")


def start_traffic(machine: Machine, stage: str) -> None:
    """Have clients send to the stage's environment at the rate at rest, until another one is asked for."""
    environment, target = machine.environment(stage), machine.target(stage)
    if environment.traffic is None:
        return
    command = [sys.executable, "-m", "roundtrip.traffic", "--front-door", target.addresses().front_door]
    command += ["--rps", str(environment.traffic.at_rest)]
    command += ["--state", str(traffic_folder(machine.home, environment.name))]
    command += ["--versions", machine.plan.from_version, machine.plan.to_version]
    if (bound := _slow_seconds(machine.plan)) is not None:
        command += ["--slow-seconds", str(bound)]
    folder = machine.home.environment(environment.name)
    target.infrastructure.daemon.put(
        Program("traffic", command, folder, {"PYTHONPATH": str(INCLUDE)}, priority=9999)
    )


def stop_everything(home: Home) -> None:
    """End every process that was started for this state folder, whatever plans and environments it has."""
    # Airflow first: it would go on acting on environments that are going away.
    EmbeddedAirflow(home, ROOT).down()
    environments = sorted(home.root.glob("environments/*"))
    for folder in environments:
        Daemon(folder / "supervisor").stop()
    end_leftovers([with_variable(COMMAND_OF, str(home.cache))], where=str(home.root))
    for folder in environments:  # last: an engine that does not answer keeps nothing else from being ended
        _stop_containers(home, folder.name)


def _stop_containers(home: Home, name: str) -> None:
    """Of an environment of that name, if it has any; they stay, and `up` starts them again."""
    file = INCLUDE / "environments" / f"{name}.yaml"
    environment = load_environment(file) if file.exists() else None
    if environment is not None and isinstance(environment.target, ComposeTargetSettings):
        folder = home.environment(name)
        ComposeInfrastructure(folder, environment, environment.target, local_secrets(home)).down()


def _is_ours(machine: Machine, stage: str) -> bool:
    """Whether nobody but this preparation has acted on the environment, or nothing is placed there at all."""
    name = machine.environment(stage).name
    taken = [e for e in machine.ledger.events(kind="token.taken") if e.data["environment"] == name]
    return not taken or taken[-1].release == SETUP or not machine.target(stage).instances()


def _wait_awake(target: LoopbackTarget[Any]) -> None:
    """Until every instance that is placed counts; one that never does is for the next release or a person to judge."""
    deadline = time.monotonic() + AWAKE_LIMIT_SECONDS
    while _counted(target) < target.instances() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _counted(target: LoopbackTarget[Any]) -> int:
    try:
        return sum(placement.replicas for placement in target.observe().placements)
    except TargetError:
        return 0  # half of it is up, which is no deployment


def _slow_seconds(plan: Plan) -> float | None:
    """What a gate of the plan calls slow at the front door, the shortest of them; None when none does."""
    bounds = [
        metric.slower_than_seconds
        for gate in plan.gates.values()
        for metric in gate.metrics
        if metric.source == "front-door" and metric.slower_than_seconds is not None
    ]
    return min(bounds, default=None)
