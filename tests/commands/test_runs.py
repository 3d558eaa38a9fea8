"""Who may start a release, what is finished first, and where a release starts."""

from __future__ import annotations

import threading

import pytest
import typer
from rich.console import Console

from roundtrip.commands.follow import Follower
from roundtrip.commands.runs import Runs
from roundtrip.errors import HostError, PromotionError
from tests.commands.airflow_simulator import AirflowSimulator
from tests.commands.conftest import PLAN, SimulatedMachine, deployment, said

RELEASE_DAG, ROLLBACK_DAG = f"release_{PLAN.name}", f"rollback_{PLAN.name}"
REHEARSAL_DAG = f"staging_rehearsal_{PLAN.name}"


def begin(
    machine: SimulatedMachine, run_id: str, *, environments: str = "local", plan: str = PLAN.name
) -> str:
    """A release that has begun, as its first task would write it."""
    release = f"release_{plan}.{run_id}"
    names = {stage: f"{environments}_{stage}" for stage in ("staging", "production")}
    data = {"plan": plan, "environments": names}
    machine.ledger.append_once(release, "release.started", "started", data, actor="mara")
    return release


def rollback_restores(
    machine: SimulatedMachine, simulator: AirflowSimulator, outcome: str = "ROLLED BACK"
) -> None:
    """The rollback DAG, when triggered, ends with `outcome` and the stable version everywhere."""

    def carry_out(dag: str, run: str) -> None:
        release = simulator.conf[dag, run]["release"]
        machine.ledger.append(release, "release.outcome", {"outcome": outcome, "reason": "simulated"})
        if outcome == "ROLLED BACK":
            for target in machine.targets.values():
                target.now = deployment(PLAN.from_version)
        simulator.runs[dag, run] = "success"

    simulator.on_trigger = carry_out


def test_a_release_that_is_running_refuses_the_next_and_is_named(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    begin(machine, "20261123T120000")
    simulator.runs[RELEASE_DAG, "20261123T120000"] = "running"
    with pytest.raises(PromotionError, match=r"20261123T120000 is running since .* UTC, started by mara"):
        runs.make_way(airflow_was_up=True)
    assert simulator.conf == {}


def test_a_release_started_in_the_ui_is_found_by_its_run_although_its_id_is_spelled_otherwise(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    begin(machine, "manual__2026-11-23T12-00-00-00-00")
    simulator.runs[RELEASE_DAG, "manual__2026-11-23T12:00:00+00:00"] = "running"
    with pytest.raises(PromotionError, match="is running"):
        runs.make_way(airflow_was_up=True)
    assert simulator.conf == {}, "it must not be taken back while it runs"


def test_a_queued_run_that_has_not_begun_refuses_as_well(runs: Runs, simulator: AirflowSimulator) -> None:
    simulator.runs[RELEASE_DAG, "x"] = "queued"
    with pytest.raises(PromotionError, match=r"release_.*\.x is running"):
        runs.make_way(airflow_was_up=True)


def test_a_release_interrupted_by_a_power_cut_is_followed_to_its_end(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator, console: Console
) -> None:
    release = begin(machine, "r1")
    simulator.runs[RELEASE_DAG, "r1"] = "running"

    def end() -> None:
        machine.ledger.append(release, "release.outcome", {"outcome": "PROMOTED", "reason": ""})
        simulator.runs[RELEASE_DAG, "r1"] = "success"

    timer = threading.Timer(0.3, end)
    timer.start()
    runs.make_way(airflow_was_up=False)
    timer.join()
    assert f"{release} was interrupted" in said(console)
    assert simulator.conf == {}
    assert runs.unfinished() == []


def test_a_release_whose_run_is_lost_is_taken_back(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    release = begin(machine, "lost")
    rollback_restores(machine, simulator)
    runs.make_way(airflow_was_up=True)
    [((dag, _), conf)] = simulator.conf.items()
    assert (dag, conf["release"], conf["environment"]) == (ROLLBACK_DAG, release, "local")
    assert len(conf["reason"]) >= 10, "the DAG refuses a shorter one"
    assert runs.unfinished() == []


def test_a_lost_release_that_cannot_be_taken_back_stops_the_next(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    begin(machine, "lost")
    rollback_restores(machine, simulator, outcome="BROKEN")
    with pytest.raises(HostError, match=r"lost could not be taken back.*BROKEN"):
        runs.make_way(airflow_was_up=True)


@pytest.mark.parametrize("outcome", ["ROLLED BACK", "BROKEN"])
def test_a_release_is_taken_back_by_hand_and_followed_whatever_the_end(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator, outcome: str
) -> None:
    release = begin(machine, "promoted")
    machine.ledger.append(release, "release.outcome", {"outcome": "PROMOTED", "reason": ""})
    rollback_restores(machine, simulator, outcome=outcome)
    follower = runs.take_back(release, "customers see wrong prices")
    [((dag, _), conf)] = simulator.conf.items()
    assert dag == ROLLBACK_DAG
    assert conf == {"release": release, "reason": "customers see wrong prices", "environment": "local"}
    assert follower.release == release


@pytest.mark.parametrize("dag", [RELEASE_DAG, ROLLBACK_DAG])
def test_what_is_running_is_not_taken_back_by_hand_as_well(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator, dag: str
) -> None:
    release = begin(machine, "r1")
    simulator.runs[dag, "r1"] = "running"
    with pytest.raises(PromotionError, match=r"r1 is running"):
        runs.take_back(release, "pressed twice by somebody")
    assert simulator.conf == {}


def test_what_never_began_is_not_taken_back(runs: Runs, simulator: AirflowSimulator) -> None:
    with pytest.raises(HostError, match=r"has no release\.started"):
        runs.take_back("release_of_nobody", "a typing error in the id")
    assert simulator.conf == {}


def test_a_release_in_other_environments_is_left_alone(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    begin(machine, "elsewhere", environments="paris", plan="another")
    runs.make_way(airflow_was_up=True)
    assert simulator.conf == {}


@pytest.mark.parametrize("outcome", ["PROMOTED", "BROKEN"])
def test_what_an_earlier_release_left_is_taken_back_first(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator, outcome: str
) -> None:
    release = begin(machine, "earlier")
    machine.ledger.append_once(release, "deployed", "local_production", {"version": PLAN.to_version})
    machine.ledger.append(release, "release.outcome", {"outcome": outcome, "reason": ""})
    machine.targets["production"].now = deployment(PLAN.to_version)
    rollback_restores(machine, simulator)
    runs.return_to_stable()
    assert [conf["release"] for conf in simulator.conf.values()] == [release]


def test_no_release_starts_from_a_version_that_nobody_can_explain(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    machine.targets["staging"].now = deployment(PLAN.to_version)
    with pytest.raises(
        HostError, match=rf"local_staging runs {PLAN.to_version}, expected {PLAN.from_version}"
    ):
        runs.return_to_stable()
    assert simulator.conf == {}


def test_where_the_stable_version_runs_nothing_is_taken_back(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    release = begin(machine, "earlier")
    machine.ledger.append_once(release, "deployed", "local_production", {"version": PLAN.to_version})
    runs.return_to_stable()
    assert simulator.conf == {}


def test_a_run_is_unpaused_triggered_and_followed(
    runs: Runs, machine: SimulatedMachine, simulator: AirflowSimulator
) -> None:
    simulator.on_trigger = lambda dag, run: simulator.runs.update({(dag, run): "failed"})
    follower = runs.start(RELEASE_DAG, {"environment": "local", "fault": "errors"})
    assert simulator.unpaused == [RELEASE_DAG]
    assert simulator.conf[RELEASE_DAG, follower.run_id] == {"environment": "local", "fault": "errors"}
    assert follower.release == f"{RELEASE_DAG}.{follower.run_id}"


def test_a_drill_unpauses_its_own_dag_and_not_the_nightly_schedule(
    runs: Runs, simulator: AirflowSimulator
) -> None:
    simulator.on_trigger = lambda dag, run: simulator.runs.update({(dag, run): "success"})
    runs.start(REHEARSAL_DAG, {"environment": "local", "fault": "errors"})
    assert simulator.unpaused == [REHEARSAL_DAG]


def test_a_dag_that_never_appears_is_an_error_with_airflows_own_reason(
    runs: Runs, simulator: AirflowSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundtrip.commands.runs.DAG_LIMIT_SECONDS", 0.1)
    simulator.dags.clear()
    with pytest.raises(HostError, match=r"no DAG release_.*plans/x\.yaml:3"):
        runs.start(RELEASE_DAG, {})


def test_an_interrupt_stops_the_following_only_and_says_so(
    runs: Runs, simulator: AirflowSimulator, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Follower) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Follower, "follow", interrupted)
    with pytest.raises(typer.Exit) as ended:
        runs.start(RELEASE_DAG, {})
    assert ended.value.exit_code == 1
    assert "stopped following; the run goes on in Airflow" in said(console)
    assert list(simulator.runs.values()) == ["running"]
