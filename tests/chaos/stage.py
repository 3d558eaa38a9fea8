"""Where it happens: an Airflow, an environment and a ledger of its own, and a checkout whose DAGs begin at production.

Both versions are built, signed and published once. Between two runs everything is put back to the stable version, by force
where a run has left something else: the next one has to start as the first one did.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pytest
from rich.console import Console

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.prepare import SETUP, Machine, make_keys, publish_stable, start_traffic
from roundtrip.commands.runs import Runs
from roundtrip.embedded.airflow import EmbeddedAirflow
from roundtrip.forge import lay_platform
from roundtrip.plan.deployment import whole
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment, load_plan
from roundtrip.plan.model import Plan, Replicas
from roundtrip.release import Release, release_id
from roundtrip.verification.published import CHECKSUMS, bundle_name, read_checksums
from tests.chaos import network
from tests.chaos.checkout import DOOR_PLAN, PLAN, STAGES, check_out
from tests.chaos.clock import Clock, clock_in
from tests.chaos.disk import Disk, mounted
from tests.chaos.ground import Artefact, Ground
from tests.end_to_end.machine import HOME as END_TO_END

STAGING_PASSED = "what came before production was done once for all of these releases"
DAG_LIMIT_SECONDS = 90
RUN_LIMIT_SECONDS = 300
ENDED_LIMIT_SECONDS = 120
POLL_SECONDS = 0.5
RELEASES = "chaos_"
"""how the DAGs of releases are called"""
INSTALLED = ("npm", "npm-downloads", "python", "tools")
"""folders of the cache that hold what others have made"""
DISK_MEGABYTES = {"ledger": 200, "environments": 1500}
NEXT = "1.1.1"
"""a version after the new one, so that the new one can be published as a stable one is"""

REPRODUCED = {"bundle": "build.reproduced", "image": "build.image_reproduced"}


class BentAirflow(EmbeddedAirflow):
    """Airflow with further variables, in each of its processes."""

    def __init__(self, home: Home, root: Path, further: Mapping[str, str]) -> None:
        super().__init__(home, root)
        self._further = further

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **self._further}


@dataclass(frozen=True)
class Stage:
    """Everything is up, and stands at the stable version."""

    home: Home
    ground: Ground
    plan: Plan
    machine: Machine
    airflow: EmbeddedAirflow
    digests: Mapping[str, Mapping[str, str]]
    """version -> service -> digest of what it is started from"""
    repository: Path
    """the bare remote as it was before any release"""
    ledger: Path
    disks: Mapping[str, Disk | None]
    """`ledger` and `environments`; None where nothing can be mounted"""
    clock: Clock | None
    """None where it cannot be stepped"""

    @property
    def dag_id(self) -> str:
        return f"{RELEASES}{self.plan.name}"

    @property
    def behind_a_door(self) -> Stage:
        """The same with the plan that asks before production is touched."""
        plan = load_plan(self.home.root / "checkout" / "include" / "plans" / f"{DOOR_PLAN}.yaml")
        return replace(self, plan=plan, machine=replace(self.machine, plan=plan))

    @cached_property
    def api(self) -> AirflowApi:
        return AirflowApi(self.airflow.login())

    @property
    def front_door(self) -> str:
        return self.machine.target("production").addresses().front_door

    @property
    def redis_url(self) -> str:
        return self.machine.target("production").redis_url()

    def artefacts(self, version: str) -> list[Artefact]:
        """What the services of this version are started from."""
        return [Artefact(service, version, digest) for service, digest in self.digests[version].items()]

    def reset(self) -> None:
        """A new environment with the stable version alone, the repository as it was, everything up."""
        self.airflow.up()
        self._end_runs()
        target = self.machine.target("production")
        self.ground.end(target.infrastructure)
        environment = self.machine.environment("production").name
        shutil.rmtree(self.home.environment(environment), ignore_errors=True)
        target.infrastructure.up()
        shutil.rmtree(self.home.repository)
        shutil.copytree(self.repository, self.home.repository)
        version = self.plan.from_version
        desired = whole(version, self.plan, self.digests[version], target.configurations(version))
        token = self.machine.ledger.take_token(environment, release=SETUP, holder="chaos")
        target.converge(desired.with_flags(dict.fromkeys(self.plan.flags, False)), token)
        start_traffic(self.machine, "production")

    def _end_runs(self) -> None:
        """A campaign that was cut off leaves a release on its way; it is let come to its end."""
        deadline = time.monotonic() + RUN_LIMIT_SECONDS
        for dag_id in self.api.dag_ids():
            while dag_id.startswith(RELEASES) and (alive := self.api.running(dag_id)):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"still running after {RUN_LIMIT_SECONDS} s: {alive}")
                time.sleep(POLL_SECONDS)

    def begin(self, run_id: str) -> str:
        """A release of this id, with what came before production in its ledger, and its run triggered; the release's id."""
        release = self.machine.release(release_id(self.dag_id, run_id))
        self._already_done(release)
        self.trigger(self.dag_id, run_id, {"environment": "chaos"})
        return release.id

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, str]) -> None:
        """As a person does, once Airflow has read the DAG."""
        deadline = time.monotonic() + DAG_LIMIT_SECONDS
        while dag_id not in self.api.dag_ids():
            if time.monotonic() > deadline:
                raise RuntimeError(f"no DAG {dag_id}: {self.api.import_errors()}")
            time.sleep(POLL_SECONDS)
        self.api.unpause(dag_id)
        self.api.trigger(dag_id, run_id, dict(conf))

    def take_back(self, release: str) -> None:
        """What a BROKEN release says to type."""
        Runs(self.machine, self.api, Console(quiet=True)).take_back(release, "the campaign does what it said")

    def state(self, run_id: str) -> str:
        return self.api.run_state(self.dag_id, run_id)

    def settled_state(self, run_id: str) -> str:
        """The run's state when Airflow has noticed that its last task is over."""
        deadline = time.monotonic() + ENDED_LIMIT_SECONDS
        while (state := self.state(run_id)) in ("queued", "running") and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return state

    def _already_done(self, release: Release) -> None:
        ledger, version = release.ledger, self.plan.to_version
        names = {stage: one.name for stage, one in self.machine.environments.items()}
        about = {"plan": self.plan.name, "environments": names, "from_version": self.plan.from_version}
        ledger.append_once(release.id, "release.started", "started", {**about, "to_version": version})
        ledger.append_once(release.id, "checklist.passed", "checklist", {"why": STAGING_PASSED})
        commit = self._head()
        data = {"commit": commit, "branch": self.plan.repository.working_branch}
        ledger.append_once(release.id, "candidate.chosen", commit, data)
        for kind in ("build.sbom", "build.checksums"):
            ledger.append_once(release.id, kind, kind, {"why": STAGING_PASSED})
        for form, service, digest in self._built(version):
            made = {"service": service, "version": version, "digest": digest, "commit": commit}
            ledger.append_once(release.id, f"build.{form}", f"{service}@{version}", made)
            ledger.append_once(release.id, REPRODUCED[form], service, {"same": True})
        verdict = {
            "verdict": "PASS",
            "reason": STAGING_PASSED,
            "metrics": {},
            "environment": names["staging"],
        }
        ledger.append_once(release.id, "gate.verdict", "staging.canary", verdict)
        for test in self.plan.staging.smoke:
            ok = {"ok": True, "detail": STAGING_PASSED, "seconds": 0.0}
            ledger.append_once(release.id, "smoke.result", f"{names['staging']}/{version}/{test}", ok)

    def _built(self, version: str) -> Iterator[tuple[str, str, str]]:
        """Form, service and digest of all that was built: bundles always, beside them what runs here."""
        assets = self.home.releases / f"{self.plan.repository.tag_prefix}{version}" / "assets"
        sums = read_checksums(assets / CHECKSUMS)
        for service in self.digests[version]:
            yield "bundle", service, sums[bundle_name(service, version)]
        form = self.machine.environment("production").form
        if form != "bundle":
            for service, digest in self.digests[version].items():
                yield form, service, digest

    def _head(self) -> str:
        branch = self.plan.repository.release_branch
        return _git(self.home.repository, "rev-parse", f"refs/heads/{branch}")


@contextmanager
def stage(root: Path, ground: Callable[[Path], AbstractContextManager[Ground]]) -> Iterator[Stage]:
    """The stage below `root`; what is built and the ledger stay there, what runs ends with the block."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    _share_downloads(Home(root))
    network.mend()
    with ExitStack() as ending:
        disks = {
            name: ending.enter_context(mounted(root / name, megabytes))
            for name, megabytes in DISK_MEGABYTES.items()
        }
        # After the disks: an engine with mounts of its own sees those that were there before it.
        standing_on = ending.enter_context(ground(root))
        ledger = ending.enter_context(_ledger(root / "ledger" / "ledger.db", kept=root / "ledger.db"))
        made = _set_up(root, standing_on, ledger, disks, clock_in(root))
        ending.callback(standing_on.end, made.machine.target("production").infrastructure)
        ending.callback(made.airflow.down)
        yield made


def _share_downloads(home: Home) -> None:
    """What was installed for the releases end to end is not installed a second time; what is built is built anew."""
    theirs = Home(END_TO_END).cache
    for name in INSTALLED:
        here = home.cache / name
        if (theirs / name).exists() and not here.exists():
            here.parent.mkdir(exist_ok=True, mode=0o700)
            here.unlink(missing_ok=True)  # a link to what is not there any more
            here.symlink_to(theirs / name)


@contextmanager
def _ledger(file: Path, *, kept: Path) -> Iterator[Path]:
    """The ledger of every process here is `file`, which is on a disk that does not last."""
    file.parent.mkdir(exist_ok=True, mode=0o700)
    if kept.exists():
        _copy(kept, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROUNDTRIP_LEDGER_URL", f"sqlite:///{file}")
        yield file
    _copy(file, kept)


def _copy(ledger: Path, to: Path) -> None:
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(to)) as destination:
        source.backup(destination)


def _set_up(
    root: Path, ground: Ground, ledger: Path, disks: Mapping[str, Disk | None], clock: Clock | None
) -> Stage:
    home, checkout = Home(root), root / "checkout"
    check_out(checkout, ground)
    plan = load_plan(checkout / "include" / "plans" / f"{PLAN}.yaml")
    environments = {
        stage_: load_environment(checkout / "include" / "environments" / f"{name}.yaml")
        for stage_, name in STAGES.items()
    }
    machine = Machine(home, plan, environments, print)
    make_keys(machine)
    # A campaign that was cut off has left its merge there, and what was taken back is not merged a second time.
    shutil.rmtree(home.repository, ignore_errors=True)
    commit = lay_platform(home.repository, plan)
    names = plan.repository
    _git(home.repository, "branch", "--force", names.release_branch, commit)
    _git(home.repository, "tag", "--force", f"{names.tag_prefix}{plan.to_version}", commit)
    digests = {plan.from_version: publish_stable(machine)["production"]}
    after = publish_stable(Machine(home, _after(plan), environments, print))
    digests[plan.to_version] = after["production"]
    repository = root / "platform" / "before.git"
    shutil.rmtree(repository, ignore_errors=True)
    shutil.copytree(home.repository, repository)
    further = {"ROUNDTRIP_LEDGER_URL": os.environ["ROUNDTRIP_LEDGER_URL"]}
    airflow = BentAirflow(home, checkout, {**further, **(clock.variables() if clock else {})})
    return Stage(home, ground, plan, machine, airflow, digests, repository, ledger, disks, clock)


def _git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _after(plan: Plan) -> Plan:
    """The plan of the release after this one, whose stable version is this one's new version."""
    services = {
        name: one.model_copy(update={"replicas": Replicas(stable=one.replicas.new, new=one.replicas.new)})
        for name, one in plan.services.items()
    }
    versions = {"from_version": plan.to_version, "to_version": NEXT}
    return plan.model_copy(update={"services": services, **versions})
