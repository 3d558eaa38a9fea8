"""The commands of `./roundtrip`.

Rules:
1. A release's exit code and last line come from `release.outcome` in the ledger, never from Airflow's colour.
2. An error is one line on standard error: what, where, what to do; exit 1.
3. Interrupting a command that follows a run stops the following only, and says so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from roundtrip.commands import prepare
from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.follow import Follower
from roundtrip.commands.prepare import Machine, open_machine
from roundtrip.errors import HostError, PlanError, RoundtripError
from roundtrip.forge.laying import faults
from roundtrip.ledger.ledger import Ledger
from roundtrip.release import release_id

PLAN = "top_tier_trading_1_1_0"
EXITS = {"PROMOTED": 0, "ROLLED BACK": 3, "BROKEN": 4}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Carries out an upgrade plan on Apache Airflow, and can always take it back.",
)
console = Console(soft_wrap=True, markup=False, highlight=False)

PlanName = Annotated[str, typer.Option(help="name of a file in include/plans, without its ending")]
Environments = Annotated[str, typer.Option("--env", help="prefix of the environments' names")]
Json = Annotated[bool, typer.Option("--json", help="print data as JSON")]


def main() -> None:
    """Run the command line; every error of ours becomes its one line."""
    try:
        app()
    except RoundtripError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


@app.command()
def release(
    plan: PlanName = PLAN,
    env: Environments = "local",
    fault: Annotated[
        str, typer.Option(help="release a branch with a real bug: errors, latency or crash")
    ] = "",
    fault_stage: Annotated[
        str, typer.Option(help="where the bug bites: staging (and after) or production only")
    ] = "staging",
) -> None:
    """Carry out the plan: set everything up, release, show it live. Exit 0 promoted, 3 rolled back, 4 broken."""
    machine = open_machine(plan, env, console.print)
    patch = _patch(fault, fault_stage)
    api = _up(machine)
    _finish_earlier(machine, api)
    prepare.lay(machine, patch)
    bundles = prepare.publish_stable(machine)
    prepare.start_environments(machine, bundles)
    _take_back_promoted(machine, api)
    follower = _run(machine, api, f"release_{plan}", {"environment": env, "fault": patch})
    _end(machine, follower)


@app.command()
def rehearse(
    plan: PlanName = PLAN,
    env: Environments = "local",
    fault: Annotated[str, typer.Option(help="errors, latency or crash")] = "errors",
) -> None:
    """A drill: staging with a fault, which has to be found and taken back within the plan's budget. Exit 0 if it was."""
    machine = open_machine(plan, env, console.print)
    patch = _patch(fault, "staging")
    api = _up(machine)
    _finish_earlier(machine, api)
    prepare.lay(machine, "")
    prepare.start_environments(machine, prepare.publish_stable(machine))
    _take_back_promoted(machine, api)
    follower = _run(machine, api, f"staging_rehearsal_{plan}", {"environment": env, "fault": patch})
    assessed = machine.ledger.last(follower.release, "drill.assessed")
    passed = assessed is not None and assessed.data["passed"]
    if assessed is not None:
        data = assessed.data
        console.print(
            f"found after {data['detection_seconds']:.1f} s, restored after another {data['recovery_seconds']:.1f} s, "
            f"budget {data['budget_seconds']:.0f} s"
        )
    _print_last("DRILL PASSED" if passed else "DRILL FAILED", machine, follower.release)
    raise typer.Exit(0 if passed else 1)


@app.command()
def up(plan: PlanName = PLAN, env: Environments = "local") -> None:
    """Start Airflow and the platform, without a release; after a power cut it brings back what ran."""
    machine = open_machine(plan, env, console.print)
    _up(machine)
    prepare.lay(machine, "")
    prepare.start_environments(machine, prepare.publish_stable(machine))


@app.command()
def down(plan: PlanName = PLAN, env: Environments = "local") -> None:
    """End every process; all data stays."""
    machine = open_machine(plan, env, console.print)
    prepare.make_keys(machine)
    prepare.stop_everything(machine)


@app.command()
def status(plan: PlanName = PLAN, env: Environments = "local", as_json: Json = False) -> None:
    """What runs where with which share of traffic, and how the newest release stands."""
    machine = open_machine(plan, env, console.print)
    login = machine.airflow.login()
    runs: dict[str, object] = {}
    for stage, environment in machine.environments.items():
        infrastructure = machine.target(stage).infrastructure
        observed = machine.target(stage).observe().to_json() if infrastructure.is_up() else None
        runs[environment.name] = observed
    newest = machine.ledger.last(None, "release.started")
    outcome = machine.ledger.last(newest.release, "release.outcome") if newest else None
    data = {
        "airflow": {"url": login.url, "user": login.user, "is_up": machine.airflow.is_up()},
        "environments": runs,
        "release": newest.release if newest else None,
        "outcome": dict(outcome.data) if outcome else None,
    }
    if as_json:
        console.print_json(json.dumps(data))
        return
    console.print(f"Airflow: {login.url}, user {login.user}, password {login.password}")
    for name, deployment in runs.items():
        console.print(f"{name}: {'is down' if deployment is None else ''}")
        for p in (deployment or {}).get("placements", []) if isinstance(deployment, dict) else []:
            console.print(
                f"  {p['service']} {p['version']} ×{p['replicas']} {p['weight_percent']} %", highlight=False
            )
    console.print(
        f"newest release: {data['release']}: {outcome.data['outcome'] if outcome else 'has not ended'}"
    )


@app.command("verify-ledger")
def verify_ledger(as_json: Json = False) -> None:
    """Recompute the ledger's chain; name the first event that differs. Exit 1 when there is one."""
    machine = open_machine(PLAN, "local", console.print)
    count = Ledger(os.environ.get("ROUNDTRIP_LEDGER_URL", machine.home.ledger_url)).verify()
    console.print(json.dumps({"events": count}) if as_json else f"{count} events, the chain is whole")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(
    context: typer.Context, report: Annotated[str, typer.Option(help="file for the runner's summary")] = ""
) -> None:
    """Run the whole test suite; further arguments go to pytest."""
    command = [sys.executable, "-m", "pytest", *context.args]
    process = subprocess.Popen(command, cwd=prepare.ROOT, stdout=subprocess.PIPE, text=True)
    if process.stdout is None:
        raise RuntimeError("pytest is started with a pipe")
    last: list[str] = []
    for line in process.stdout:
        sys.stdout.write(line)
        last = [*last[-80:], line]
    code = process.wait()
    if report:
        with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123 - a path of the caller's, as given
            file.writelines(_summary(last))
    raise typer.Exit(code)


def _up(machine: Machine) -> AirflowApi:
    prepare.make_keys(machine)
    with console.status("starting Airflow"):
        login = machine.airflow.up()
    console.print(f"Airflow: {login.url}  user {login.user}  password {login.password}", highlight=False)
    return AirflowApi(login)


def _patch(fault: str, stage: str) -> str:
    if not fault:
        return ""
    name = fault if stage == "staging" else f"{fault}-{stage}"
    if name not in faults():
        raise PlanError(
            f"no fault '{fault}' for stage '{stage}', known: {', '.join(faults())}",
            where="include/platform/faults",
            remedy="name errors, latency or crash, and staging or production",
        )
    return name


def _run(machine: Machine, api: AirflowApi, dag_id: str, conf: dict[str, str], *, of: str = "") -> Follower:
    """Trigger a run and follow it to its end."""
    if dag_id not in api.dag_ids():
        raise HostError(
            f"Airflow has no DAG {dag_id}",
            where="dags",
            remedy=" | ".join(api.import_errors())[-600:] or "wait for it",
        )
    run_id = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    api.unpause(dag_id)
    api.trigger(dag_id, run_id, conf)
    return _follow(machine, api, dag_id, run_id, of or release_id(dag_id, run_id))


def _follow(machine: Machine, api: AirflowApi, dag_id: str, run_id: str, release: str) -> Follower:
    follower = Follower(api, machine.ledger, console, dag_id, run_id, release)
    console.print(f"{release}\n{machine.airflow.login().url}/dags/{dag_id}/runs/{run_id}", highlight=False)
    try:
        follower.follow()
    except KeyboardInterrupt:
        console.print("stopped following; the release goes on in Airflow. ./roundtrip status shows it")
        raise typer.Exit(1) from None
    return follower


def _finish_earlier(machine: Machine, api: AirflowApi) -> None:
    """A release that has begun and not ended is brought to its end first; Airflow has taken it up again by itself."""
    for started in machine.ledger.events(kind="release.started"):
        if machine.ledger.last(started.release, "release.outcome"):
            continue
        dag_id, _, run_id = started.release.partition(".")
        console.print(f"{started.release} was interrupted; it is brought to its end first")
        if api.run_state(dag_id, run_id) in ("queued", "running"):
            _follow(machine, api, dag_id, run_id, started.release)
        if machine.ledger.last(started.release, "release.outcome") is None:
            _take_back(machine, api, started.release, "its run was lost before it ended")


def _take_back_promoted(machine: Machine, api: AirflowApi) -> None:
    """A release starts at the plan's stable version; what was promoted before is taken back as a person would."""
    promoted = machine.ledger.last(None, "promoted")
    version = machine.plan.from_version
    if promoted is not None and machine.target("production").observe().versions() != (version,):
        console.print(f"production runs what {promoted.release} promoted; that is taken back first")
        _take_back(machine, api, promoted.release, f"the next release starts at {version}")


def _take_back(machine: Machine, api: AirflowApi, release: str, reason: str) -> None:
    conf = {"release": release, "reason": reason, "environment": _prefix(machine)}
    _run(machine, api, f"rollback_{machine.plan.name}", conf, of=release)
    outcome = machine.ledger.last(release, "release.outcome")
    if outcome is None or outcome.data["outcome"] not in ("ROLLED BACK", "STOPPED"):
        raise HostError(
            f"{release} could not be taken back", where=release, remedy="docs/runbook.md, 'BROKEN'"
        )


def _prefix(machine: Machine) -> str:
    return machine.environments["staging"].name.removesuffix("_staging")


def _end(machine: Machine, follower: Follower) -> None:
    console.print(follower.times())
    outcome = machine.ledger.last(follower.release, "release.outcome")
    if outcome is None:
        raise HostError(
            "the release has no outcome in the ledger", where=follower.release, remedy="docs/runbook.md"
        )
    name = str(outcome.data["outcome"])
    if name != "PROMOTED":
        console.print(outcome.data["reason"], highlight=False)
    _print_last(name, machine, follower.release)
    raise typer.Exit(EXITS.get(name, 1))


def _print_last(outcome: str, machine: Machine, release: str) -> None:
    dossier = machine.home.release(release) / "dossier.html"
    plan = machine.plan
    sys.stdout.flush()
    sys.stdout.write(f"{outcome} plan={plan.name} version={plan.to_version} dossier={dossier}\n")
    sys.stdout.flush()


def _summary(lines: list[str]) -> list[str]:
    """What pytest prints last: from its short summary on, or its last line."""
    starts = [i for i, line in enumerate(lines) if "short test summary info" in line]
    return lines[starts[-1] :] if starts else lines[-1:]
