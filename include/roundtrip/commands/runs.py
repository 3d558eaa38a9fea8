"""Runs of a plan's DAGs, as the command line starts, follows and ends them.

Rules:
1. One release at a time: a run that is alive in an Airflow that was up already belongs to somebody; it is never touched.
2. A release that was interrupted (Airflow was down) is brought to its end before anything else is done.
3. A release starts where every environment runs the stable version alone. What an earlier one left is taken back by the
   rollback DAG, as a person would, and only after that is proved the next one starts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import typer
from rich.console import Console

from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.follow import Follower
from roundtrip.commands.prepare import Machine
from roundtrip.errors import HostError, PromotionError, TargetError
from roundtrip.ledger.ledger import Event
from roundtrip.release import release_id

DAG_LIMIT_SECONDS = 60
POLL_SECONDS = 0.5
TAKEN_BACK = ("ROLLED BACK", "STOPPED")


def unfinished(machine: Machine) -> list[Event]:
    """`release.started` of every release that holds one of the machine's environments and has no outcome."""
    ours = {environment.name for environment in machine.environments.values()}
    return [
        started
        for started in machine.ledger.events(kind="release.started")
        if ours & set(started.data["environments"].values())
        and machine.ledger.last(started.release, "release.outcome") is None
    ]


@dataclass(frozen=True)
class Runs:
    """Runs on one machine."""

    machine: Machine
    api: AirflowApi
    console: Console

    def start(self, dag_id: str, conf: dict[str, str], *, of: str = "") -> Follower:
        """Start a run and follow it to its end; `of` is the release when it is not the run's own."""
        self._wait_for_dag(dag_id)
        run_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.api.unpause(dag_id)
        self.api.trigger(dag_id, run_id, conf)
        return self._follow(dag_id, run_id, of or release_id(dag_id, run_id))

    def make_way(self, *, airflow_was_up: bool) -> None:
        """Finish what was interrupted. Raises PromotionError when somebody's release is running."""
        for dag_id, run_id in self._alive():
            release = release_id(dag_id, run_id)
            if airflow_was_up:
                raise self._taken(dag_id, run_id, release)
            self.console.print(f"{release} was interrupted; it is brought to its end first")
            self._follow(dag_id, run_id, release)
        for started in self.unfinished():
            self._take_back(started.release, "its run was lost before it ended")

    def return_to_stable(self) -> None:
        """Have every environment at the plan's stable version. Raises HostError when that cannot be had."""
        stable = (self.machine.plan.from_version,)
        for stage in ("production", "staging"):
            environment = self.machine.environment(stage).name
            if self._versions(stage) == stable:
                continue
            last = self.machine.ledger.last(None, "deployed", environment)
            if last is not None:
                self.console.print(f"{environment} is as {last.release} left it; that is taken back first")
                self._take_back(last.release, f"the next release starts at {stable[0]}")
            if (versions := self._versions(stage)) != stable:
                raise HostError(
                    f"{environment} runs {', '.join(versions) or 'nothing whole'}, expected {stable[0]} alone",
                    where=environment,
                    remedy="./roundtrip status; docs/runbook.md, 'BROKEN'",
                )

    def take_back(self, release: str, reason: str) -> Follower:
        """Take a release back, or go on with that, and follow it. Raises PromotionError when a run is alive, HostError."""
        for dag_id, run_id in self._alive():
            raise self._taken(dag_id, run_id, release_id(dag_id, run_id))
        return self._start_rollback(release, reason)

    def unfinished(self) -> list[Event]:
        """`release.started` of every release that holds one of our environments and has no outcome."""
        return unfinished(self.machine)

    def _alive(self) -> Iterator[tuple[str, str]]:
        """Runs that have not ended, of every plan that may hold our environments."""
        plans = {self.machine.plan.name, *(str(started.data["plan"]) for started in self.unfinished())}
        known = self.api.dag_ids()
        for plan in sorted(plans):
            for dag_id in (f"release_{plan}", f"staging_rehearsal_{plan}", f"rollback_{plan}"):
                if dag_id in known:
                    yield from ((dag_id, run_id) for run_id in self.api.running(dag_id))

    def _taken(self, dag_id: str, run_id: str, release: str) -> PromotionError:
        started = self.machine.ledger.last(release, "release.started")
        who = f" since {started.at:%Y-%m-%d %H:%M} UTC, started by {started.actor}" if started else ""
        return PromotionError(
            f"{release} is running{who}",
            where=f"{self.machine.airflow.login().url}/dags/{dag_id}/runs/{run_id}",
            remedy="wait for its end, or mark it failed there and it is taken back; then try again",
        )

    def _start_rollback(self, release: str, reason: str) -> Follower:
        started = self.machine.ledger.last(release, "release.started")
        if started is None:
            raise HostError("has no release.started", where=release, remedy="./roundtrip verify-ledger")
        prefix = str(started.data["environments"]["staging"]).removesuffix("_staging")
        conf = {"release": release, "reason": reason, "environment": prefix}
        return self.start(f"rollback_{started.data['plan']}", conf, of=release)

    def _take_back(self, release: str, reason: str) -> None:
        self._start_rollback(release, reason)
        outcome = self.machine.ledger.last(release, "release.outcome")
        if outcome is None or outcome.data["outcome"] not in TAKEN_BACK:
            raise HostError(
                f"{release} could not be taken back", where=release, remedy="docs/runbook.md, 'BROKEN'"
            )

    def _versions(self, stage: str) -> tuple[str, ...]:
        try:
            return self.machine.target(stage).observe().versions()
        except TargetError:
            return ()  # between two deployments: not the stable version alone

    def _wait_for_dag(self, dag_id: str) -> None:
        deadline = time.monotonic() + DAG_LIMIT_SECONDS
        while dag_id not in self.api.dag_ids():
            if time.monotonic() > deadline:
                errors = " | ".join(self.api.import_errors())[-600:]
                raise HostError(
                    f"Airflow has no DAG {dag_id} after {DAG_LIMIT_SECONDS} s",
                    where="dags",
                    remedy=errors or "./roundtrip status; is the plan in include/plans?",
                )
            time.sleep(POLL_SECONDS)

    def _follow(self, dag_id: str, run_id: str, release: str) -> Follower:
        follower = Follower(self.api, self.machine.ledger, self.console, dag_id, run_id, release)
        self.console.print(f"{release}\n{self.machine.airflow.login().url}/dags/{dag_id}/runs/{run_id}")
        try:
            follower.follow()
        except KeyboardInterrupt:
            self.console.print("stopped following; the run goes on in Airflow. ./roundtrip status shows it")
            raise typer.Exit(1) from None
        return follower
