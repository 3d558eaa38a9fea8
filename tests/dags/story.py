"""A release told as a story: given a platform at 1.0.0, when something happens to one task, then this is how it ends.

The DAG, its trigger rules, the ledger, Redis and every function that decides or deploys are the real ones; the target is
`tests.simulators.target`. Steps that build, test or sign real software only leave the events that they would leave.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import redis
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from airflow.utils.state import TaskInstanceState

from gates.sensor import GateSensor
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, pulled, whole
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from roundtrip.rollout.deploying import deploy
from roundtrip.rollout.outcome import Outcome, decide
from tests.dags.scheduler import PLANS, Run, load
from tests.dags.simulated_steps import SIMULATED, Signed
from tests.simulators.target import Killed, SimulatedTarget

STAGES = ("staging", "production")


class Happening(Enum):
    """What can happen to a task."""

    FAILS = "fails before it does anything"
    TIMES_OUT = "times out with its work half done"
    MARKED_FAILED = "is marked failed, while its process lives on"
    MARKED_SUCCESS = "is marked success, without having run"
    SKIPPED = "is skipped by a person"
    KILLED = "is killed half way and run again"
    CLEARED = "is cleared after the run has ended, and runs again with all after it"


@dataclass
class Story:
    """One release and what happens in it."""

    folder: Path
    redis_url: str
    signed: Signed
    bad_gate: str | None = None
    """gate id whose evidence says FAIL"""
    name: str = "r1"
    late: list[Callable[[], None]] = field(default_factory=list)
    """processes that were given up by Airflow and still run: they act once the next task has run"""

    def __post_init__(self) -> None:
        self.plan = load_plan(PLANS / "small.yaml")
        home = Home(self.folder)
        shutil.copytree(self.signed.folder, home.root, dirs_exist_ok=True)
        self.environments = {
            stage: Environment(
                name=f"simulated_{stage}",
                stage=stage,
                target=LocalTargetSettings(kind="local"),
                secrets_connection="none",
                signing_connection="signing",
            )
            for stage in STAGES
        }
        self.targets = {
            e.name: SimulatedTarget(home.root, e, self.plan, f"{self.redis_url}/{number}")
            for number, e in enumerate(self.environments.values())
        }
        self.release = Release(
            id=f"release_small.{self.name}",
            plan=self.plan,
            environments=self.environments,
            ledger=Ledger(home.ledger_url),
            home=home,
            secrets=lambda _: self.signed.key,
            open_target=lambda environment: self.targets[environment.name],
        )
        for stage in STAGES:
            self._given_stable(stage)

    def _given_stable(self, stage: str) -> None:
        target = self.release.target(stage)
        stable = whole("1.0.0", self.plan, self.signed.bundles["1.0.0"], target.configurations("1.0.0"))
        token = self.release.ledger.take_token(self.environments[stage].name, release="given", holder="given")
        target.converge(stable, token)
        with redis.Redis.from_url(target.redis_url()) as client:
            client.flushdb()
            client.xadd("orders", {"order_id": "before"})

    def run(self, happening: Happening | None = None, task_id: str = "") -> str:
        """Run to the end; the run's state. `happening` befalls `task_id`, once."""
        self.dag_run = Run(load("release", "release"), self.name)
        self._befalls = (task_id, happening)
        state = self.dag_run.go_on(self._carry_out)
        if happening is Happening.CLEARED:
            self.dag_run.clear(task_id)
            self._befalls = ("", None)
            state = self.dag_run.go_on(self._carry_out)
        return state

    def outcome(self) -> Outcome:
        return decide(self.release).outcome

    def recorded(self) -> str | None:
        event = self.release.ledger.last(self.release.id, "release.outcome")
        return event.data["outcome"] if event else None

    def at(self, stage: str) -> Deployment:
        return self.release.target(stage).observe()

    def stable(self, stage: str) -> Deployment:
        return whole(
            "1.0.0",
            self.plan,
            self.signed.bundles["1.0.0"],
            self.release.target(stage).configurations("1.0.0"),
        )

    def promoted(self, stage: str) -> Deployment:
        new = whole(
            "1.1.0",
            self.plan,
            self.signed.bundles["1.1.0"],
            self.release.target(stage).configurations("1.1.0"),
        )
        return new.with_flags({"new-page": True})

    def _carry_out(self, task: Any) -> TaskInstanceState:
        who, happening = self._befalls
        if task.task_id != who or happening in (None, Happening.CLEARED):
            state = self._do(task)
            while self.late:
                self.late.pop()()
            return state
        self._befalls = ("", None)
        return self._happen(task, happening)

    def _happen(self, task: Any, happening: Happening | None) -> TaskInstanceState:
        if happening is Happening.MARKED_SUCCESS:
            return TaskInstanceState.SUCCESS
        if happening is Happening.SKIPPED:
            return TaskInstanceState.SKIPPED
        if happening is Happening.MARKED_FAILED:
            self.late.append(lambda: self._do(task) and None)
        if happening in (Happening.TIMES_OUT, Happening.KILLED):
            self._do_half(task)
        if happening is Happening.KILLED:
            return self._do(task)
        return TaskInstanceState.FAILED

    def _do_half(self, task: Any) -> None:
        for target in self.targets.values():
            target.die_after = 1
        try:
            self._do(task)
        except Killed:
            pass
        finally:
            for target in self.targets.values():
                target.die_after = None

    def _do(self, task: Any) -> TaskInstanceState:
        if isinstance(task, GateSensor):
            return self._judge(task)
        arguments = {name: _rendered(value) for name, value in task.arguments.items()}
        simulated = SIMULATED.get(task.call.removeprefix("roundtrip."))
        try:
            if simulated is not None:
                simulated(self, **arguments)
            else:
                task.arguments = arguments
                task.carry_out(self.release)
        except AirflowSkipException:
            return TaskInstanceState.SKIPPED
        except AirflowException:
            return TaskInstanceState.FAILED
        return TaskInstanceState.SUCCESS

    def _judge(self, task: Any) -> TaskInstanceState:
        """The gate's verdict: nothing to see is no pass; FAIL pulls the canary's traffic before it is reported."""
        settings = task.start_trigger_args.trigger_kwargs
        gate_id, stage = settings["gate_id"], settings["stage"]
        known = self.release.ledger.last(self.release.id, "gate.verdict", gate_id)
        if known is None:
            canary = self.at(stage).get("api", "1.1.0")
            verdict = (
                "FAIL"
                if gate_id == self.bad_gate
                else "PASS"
                if canary and canary.weight_percent
                else "INCONCLUSIVE"
            )
            if verdict == "FAIL":
                deploy(self.release, stage, pulled(self.at(stage), "1.1.0"), holder=f"gate {gate_id}")
            data = {"verdict": verdict, "reason": "simulated"}
            known = self.release.ledger.append_once(self.release.id, "gate.verdict", gate_id, data)
        passed = known.data["verdict"] == "PASS"
        return TaskInstanceState.SUCCESS if passed else TaskInstanceState.FAILED


def _rendered(value: Any) -> Any:
    """Template strings of the DAG, with what they render to in this story."""
    if not isinstance(value, str) or "{{" not in value:
        return value
    return {
        "{{ dag_run.triggering_user_name or 'scheduler' }}": "tester",
        "{{ params.fault or '' }}": "",
    }.get(value, "because the story says so")
