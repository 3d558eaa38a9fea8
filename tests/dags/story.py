"""A release told as a story: given a platform at 1.0.0, when something happens to one task, then this is how it ends.

The DAG, its trigger rules, the ledger, Redis, the signatures and every function that decides or deploys are the real
ones; the target is `tests.simulators.target`. Steps that inspect, build, test or merge real software are simulated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import redis
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowSkipException
from airflow.utils.state import TaskInstanceState

from gates.sensor import GateSensor
from roundtrip.errors import StaleTokenError
from roundtrip.ledger.ledger import Event, Ledger
from roundtrip.plan.deployment import Deployment, whole
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from roundtrip.rollout.deploying import deploy
from roundtrip.rollout.outcome import Outcome, decide
from roundtrip.rollout.standing import standing_pulled
from tests.dags.checkpoint import Checkpoint, lay
from tests.dags.processes import LateProcess
from tests.dags.scheduler import Run
from tests.dags.signed import PLAN, Signed
from tests.dags.simulated_steps import MERGED, SIMULATED
from tests.simulators.target import Killed, SimulatedTarget

STAGES = ("staging", "production")
BEFOREHAND = ("verify.passed", "deployed", "converge.started", "merge.begun", "rollback.begun", "task.failed")
"""Kinds of events by which a task says what it is about to do, or that it fails; any other says what it has done."""


class Happening(Enum):
    """What can happen to a task."""

    FAILS = "fails before it does anything"
    TIMES_OUT = "times out with its work half done"
    LOST = "does its work, and is reported as lost"
    MARKED_FAILED = "is marked failed, while its process lives on"
    MARKED_SUCCESS = "is marked success, without having run"
    SKIPPED = "is skipped by a person"
    KILLED = "is killed half way and run again"
    CLEARED = "is cleared after the run has ended, and runs again with all after it"


class WatchedLedger(Ledger):
    """The real ledger; tells when a task is about to say what it has done."""

    half_way: Callable[[], None] = staticmethod(lambda: None)

    def append(self, release: str, kind: str, data: Mapping[str, Any], *, actor: str = "roundtrip") -> Event:
        self._tell(kind)
        return super().append(release, kind, data, actor=actor)

    def append_once(
        self,
        release: str,
        kind: str,
        key: str,
        data: Mapping[str, Any],
        *,
        actor: str = "roundtrip",
        refuse_after: tuple[str, ...] = (),
    ) -> Event:
        self._tell(kind)
        return super().append_once(release, kind, key, data, actor=actor, refuse_after=refuse_after)

    def take_token(
        self, environment: str, *, release: str, holder: str, refuse_after: tuple[str, ...] = ()
    ) -> int:
        if holder == "rollback.begin":  # taking it is all that this step does
            self.half_way()
        return super().take_token(environment, release=release, holder=holder, refuse_after=refuse_after)

    def _tell(self, kind: str) -> None:
        if kind not in BEFOREHAND:
            self.half_way()


class Story:
    """One release and what happens in it. `bad_gate` is the id of the gate whose evidence says FAIL."""

    def __init__(
        self,
        dag: DAG,
        folder: Path,
        redis_url: str,
        signed: Signed,
        *,
        bad_gate: str | None = None,
        since: Checkpoint | None = None,
    ) -> None:
        self.folder = folder
        self.signed = signed
        self.plan = load_plan(PLAN)
        self.main = folder / "main"
        """stands for the main branch (`simulated_steps`)"""
        self.bad_gate = bad_gate
        self.befell: Happening | None = None
        """what happened to the task that something was to happen to; None when its turn never came"""
        self.before: Callable[[str], None] = lambda _: None
        """told each task before its turn"""
        self.resumes_after = "rollback.deploy_last_known_good"
        """task after which a process that was given up goes on; when it never runs, at the end"""
        self._late: LateProcess | None = None
        self._befalls: tuple[str, Happening | None] = ("", None)
        self.done: dict[str, str] = dict(since.done) if since else {}
        """tasks that have had their turn, and how it ended"""
        lay(since.folder if since else signed.folder, folder)
        self.environments = {stage: _environment(stage) for stage in STAGES}
        self.targets = {
            stage: SimulatedTarget(folder, e, self.plan, f"{redis_url}/{number}")
            for number, (stage, e) in enumerate(self.environments.items())
        }
        self.ledger = WatchedLedger(Home(folder).ledger_url)
        self.dag_run = Run(dag, folder.name, done=self.done)
        self.release = Release(
            id="release_small.story",
            plan=self.plan,
            environments=self.environments,
            ledger=self.ledger,
            home=Home(folder),
            secrets=lambda _: signed.keys,
            open_target=lambda environment: self.targets[environment.stage],
        )
        for stage in STAGES:
            if since is None:
                self._given_stable(stage)
            else:
                since.restore_redis(stage, self.targets[stage].redis_url())

    def run(self, happening: Happening | None = None, task_id: str = "") -> str:
        """Run to the end; the run's state. `happening` befalls `task_id`, once."""
        self._befalls = (task_id, happening)
        state = self.dag_run.go_on(self._carry_out)
        self.done = self.dag_run.states()
        if happening is Happening.CLEARED:
            state = self.clear(task_id)
            self.befell = happening
        self._end_late()
        return state

    def clear(self, task_id: str) -> str:
        """Clear the task and all after it, and run to the end again; the run's state."""
        self._befalls = ("", None)
        self.dag_run.clear(task_id)
        return self.dag_run.go_on(self._carry_out)

    def outcome(self) -> Outcome:
        """What the ledger amounts to now."""
        return decide(self.release).outcome

    def recorded(self) -> list[str]:
        """The outcomes that were stated, in order."""
        return [str(e.data["outcome"]) for e in self.ledger.events(self.release.id, kind="release.outcome")]

    def at(self, stage: str) -> Deployment:
        return self.targets[stage].observe()

    def keys(self, stage: str) -> set[str]:
        """Names of the keys in the environment's Redis."""
        with redis.Redis.from_url(self.targets[stage].redis_url(), decode_responses=True) as client:
            return set(client.keys())

    def is_merged(self) -> bool:
        return self.main.exists() and self.main.read_text() == MERGED

    def stable(self, stage: str) -> Deployment:
        return self._whole(stage, self.plan.from_version)

    def promoted(self, stage: str) -> Deployment:
        return self._whole(stage, self.plan.to_version).with_flags({"new-page": True})

    def _whole(self, stage: str, version: str) -> Deployment:
        return whole(
            version, self.plan, self.signed.bundles[version], self.targets[stage].configurations(version)
        )

    def _given_stable(self, stage: str) -> None:
        target = self.targets[stage]
        with redis.Redis.from_url(target.redis_url()) as client:
            client.flushdb()
        token = self.ledger.take_token(self.environments[stage].name, release="given", holder="given")
        target.converge(self.stable(stage), token)

    def _carry_out(self, task: Any) -> TaskInstanceState:
        self.before(task.task_id)
        who, happening = self._befalls
        if task.task_id == who and happening not in (None, Happening.CLEARED):
            self._befalls, self.befell = ("", None), happening
            state = self._happen(task, happening)
        else:
            state = self._do(task)
            if task.task_id == self.resumes_after:
                self._end_late()
        self.done[task.task_id] = str(state)
        return state

    def _happen(self, task: Any, happening: Happening | None) -> TaskInstanceState:
        if happening is Happening.MARKED_SUCCESS:
            return TaskInstanceState.SUCCESS
        if happening is Happening.SKIPPED:
            return TaskInstanceState.SKIPPED
        if happening is Happening.MARKED_FAILED:
            self._late = LateProcess(lambda: self._do(task))
            self._at_half_way(self._late.pause)
            self._late.start()
        if happening in (Happening.TIMES_OUT, Happening.KILLED):
            self._do_half(task)
        if happening is Happening.LOST:
            self._do(task)
        if happening is Happening.KILLED:
            return self._do(task)
        return TaskInstanceState.FAILED

    def _at_half_way(self, act: Callable[[], None]) -> None:
        self.ledger.half_way = act
        for target in self.targets.values():
            target.before_step = lambda number: act() if number else None

    def _end_late(self) -> None:
        if self._late is not None:
            late, self._late = self._late, None
            late.end()
            self._at_half_way(lambda: None)

    def _do_half(self, task: Any) -> None:
        def die() -> None:
            raise Killed

        self._at_half_way(die)
        try:
            self._do(task)
        except Killed:
            return
        finally:
            self._at_half_way(lambda: None)

    def _do(self, task: Any) -> TaskInstanceState:
        if isinstance(task, GateSensor):
            return self._judge(task)
        arguments = {name: _rendered(value) for name, value in task.arguments.items()}
        simulated = SIMULATED.get(task.call.removeprefix("roundtrip."))
        try:
            if simulated is not None:
                simulated(self, **arguments)
            else:
                step = copy.copy(task)
                step.arguments = arguments
                step.carry_out(self.release)
        except AirflowSkipException:
            return TaskInstanceState.SKIPPED
        except AirflowException:
            return TaskInstanceState.FAILED
        return TaskInstanceState.SUCCESS

    def _judge(self, task: Any) -> TaskInstanceState:
        """The gate's verdict: nothing to see is no pass; FAIL pulls the canary's traffic before it is recorded."""
        settings = task.start_trigger_args.trigger_kwargs
        gate_id, stage = settings["gate_id"], settings["stage"]
        known = self.ledger.last(self.release.id, "gate.verdict", gate_id)
        if known is None:
            verdict = self._verdict(gate_id, stage)
            if verdict == "FAIL":
                self._pull(gate_id, stage)
            data = {
                "verdict": verdict,
                "reason": "simulated",
                "metrics": {},
                "seconds": 1.0,
                "samples": 1,
                "environment": self.environments[stage].name,
            }
            known = self.ledger.append_once(self.release.id, "gate.verdict", gate_id, data)
        return TaskInstanceState.SUCCESS if known.data["verdict"] == "PASS" else TaskInstanceState.FAILED

    def _verdict(self, gate_id: str, stage: str) -> str:
        if gate_id == self.bad_gate:
            return "FAIL"
        canary = self.at(stage).get("api", self.plan.to_version)
        return "PASS" if canary and canary.weight_percent else "INCONCLUSIVE"

    def _pull(self, gate_id: str, stage: str) -> None:
        try:
            deploy(self.release, stage, standing_pulled(self.release, stage), holder=f"gate {gate_id}")
        except StaleTokenError:
            return  # the rollback has begun: it is done already


def _environment(stage: str) -> Environment:
    return Environment.model_validate(
        {
            "name": f"simulated_{stage}",
            "stage": stage,
            "target": LocalTargetSettings(kind="local"),
            "secrets_connection": "none",
            "signing_connection": "signing",
        }
    )


def _rendered(value: Any) -> Any:
    """Template strings of the DAG, with what they render to in this story."""
    if not isinstance(value, str) or "{{" not in value:
        return value
    return {
        "{{ dag_run.triggering_user_name or 'scheduler' }}": "tester",
        "{{ params.fault or '' }}": "",
    }.get(value, "because the story says so")
