"""Where the releases of the benchmark happen: one environment on this machine, both versions built once.

Everything is what a release uses: the platform, its builds, the local target, the clients, the plan's gates. Each kind
of release has an environment of its own, a copy of `local_production` with another name, that begins empty.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from benchmarks.live.renumbering import renumbered
from roundtrip.build.artefacts import AT_ONCE, build_service
from roundtrip.commands.prepare import (
    INCLUDE,
    ROOT,
    SETUP,
    Machine,
    make_keys,
    publish_stable,
    start_traffic,
)
from roundtrip.forge import lay_platform
from roundtrip.plan.deployment import whole
from roundtrip.plan.environment import Environment, Traffic
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan, Replicas
from roundtrip.production.rollout import STAGE
from roundtrip.release import Release

HOME = ROOT / ".roundtrip" / "live"
PLAN = "top_tier_trading_1_1_0"
HARMLESS = "harmless"
QUIET = "quiet"
"""1.1.0 as it is, with so few clients that no gate can decide by its deadline"""
QUIET_TRAFFIC = Traffic(requests_per_second=4)
AGAIN = "1.1.1"
"""what 1.1.0 is called when it is released once more over itself, with no other change"""


@dataclass(frozen=True)
class Place:
    """The environment, up and at the stable version, and what is released into it."""

    machine: Machine
    bundles: Mapping[str, str]
    """service -> digest of the new version's bundle"""

    def release(self, number: int) -> Release:
        """The release of this number, its builds reused; ids go on where an earlier run of the benchmark ended."""
        machine = self.machine
        environment = machine.environment(STAGE)
        release = machine.release(f"{environment.name}.{number}")
        for service, digest in self.bundles.items():
            data = {"service": service, "version": machine.plan.to_version, "digest": digest, "reused": True}
            release.ledger.append_once(
                release.id, "build.bundle", f"{service}@{machine.plan.to_version}", data
            )
        return release

    @property
    def released(self) -> int:
        """How many releases this environment has seen, of this run and of earlier ones."""
        prefix = f"{self.machine.environment(STAGE).name}."
        taken = self.machine.ledger.events(kind="snapshot.taken")
        return len({event.release for event in taken if event.release.startswith(prefix)})


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """The place for releases of `kind`: 'harmless', 'quiet', or the name of a fault. Its processes end with the block."""
    home = Home(HOME)
    home.root.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = load_environment(INCLUDE / "environments" / f"local_{STAGE}.yaml")
    clients = QUIET_TRAFFIC if kind == QUIET else environment.traffic
    environment = environment.model_copy(update={"name": f"live_{kind}", "traffic": clients})
    plan = load_plan(INCLUDE / "plans" / f"{PLAN}.yaml")
    machine = Machine(home, plan, {STAGE: environment}, print)
    make_keys(machine)
    commit = lay_platform(home.repository, plan, fault="" if kind in (HARMLESS, QUIET) else kind)
    if kind == HARMLESS:
        stable = _built(machine, commit)
        commit = renumbered(home.repository, plan, commit, AGAIN)
        machine = replace(machine, plan=over_itself(plan))
    else:
        stable = publish_stable(machine)
    made = _built(machine, commit)
    try:
        _up(machine, stable, environment)
        yield Place(machine, made)
    finally:
        machine.target(STAGE).infrastructure.down()


def over_itself(plan: Plan) -> Plan:
    """The plan whose two versions are both the new one: what is released is what runs already."""
    services = {
        name: service.model_copy(
            update={
                "replicas": Replicas(stable=service.replicas.new, new=service.replicas.new),
                "environment_stable": None,
            }
        )
        for name, service in plan.services.items()
    }
    versions = {"from_version": plan.to_version, "to_version": AGAIN}
    return plan.model_copy(update={"services": services, **versions})


def _built(machine: Machine, commit: str) -> dict[str, str]:
    """The bundles of the plan's new version from the commit, built by the product's own steps."""
    release = machine.release(f"build-{machine.plan.to_version}-{commit[:12]}")
    data = {"commit": commit, "branch": machine.plan.repository.working_branch}
    release.ledger.append_once(release.id, "candidate.chosen", commit, data)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda service: build_service(release, service), machine.plan.services))
    version, last = machine.plan.to_version, release.ledger.last
    events = {name: last(release.id, "build.bundle", f"{name}@{version}") for name in machine.plan.services}
    return {name: str(event.data["digest"]) for name, event in events.items() if event}


def _up(machine: Machine, stable: Mapping[str, str], environment: Environment) -> None:
    target = machine.target(STAGE)
    # A release that was cut off may have left its state behind, and the next one has to start as the first one did.
    target.infrastructure.down()
    shutil.rmtree(machine.home.environment(environment.name), ignore_errors=True)
    target.infrastructure.up()
    version = machine.plan.from_version
    desired = whole(version, machine.plan, stable, target.configurations(version))
    token = machine.ledger.take_token(environment.name, release=SETUP, holder="benchmark")
    target.converge(desired.with_flags(dict.fromkeys(machine.plan.flags, False)), token)
    start_traffic(machine, STAGE)
