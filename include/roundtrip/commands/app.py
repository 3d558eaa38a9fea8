"""The commands of `./roundtrip`.

Rules:
1. A release's exit code and last line come from `release.outcome` in the ledger, never from Airflow's colour.
2. An error is one line on standard error: what, where, what to do; exit 1.
3. Interrupting a command that follows a run stops the following only, and says so.
4. A release that a command is about names its plan and its environments in the ledger; nobody has to repeat them.
5. `down` and `verify-ledger` need no plan: a plan file that is broken keeps nothing alive and hides nothing.
"""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from roundtrip.commands import prepare
from roundtrip.commands.airflow_api import AirflowApi
from roundtrip.commands.environments import keep
from roundtrip.commands.follow import Follower
from roundtrip.commands.phases import Phases
from roundtrip.commands.prepare import Machine, open_machine, open_recorded
from roundtrip.commands.runs import Runs
from roundtrip.commands.standing import standing
from roundtrip.errors import HostError, PlanError, RoundtripError
from roundtrip.forge.laying import faults
from roundtrip.ledger.ledger import utc_now
from roundtrip.rollback import putting_back

PLAN = "top_tier_trading_1_1_0"
AT_ONCE = ["--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile"]
"""Tests of one file share what they have started; most of the time of all of them is waiting."""
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
KeepUp = Annotated[
    bool, typer.Option("--keep-up/--down", help="leave everything running at the end, or end it")
]


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
    keep_up: KeepUp = True,
) -> None:
    """Carry out the plan: set everything up, release, show it live. Exit 0 promoted, 3 rolled back, 4 broken."""
    machine = open_machine(plan, env, console.print)
    patch, phases = _patch(fault, fault_stage), Phases()
    runs = _ready(machine, phases, patch)
    follower = runs.start(f"release_{plan}", {"environment": env, "fault": patch})
    console.print(phases.table(follower.sections()))
    name = _outcome(machine, follower)
    _end(machine, follower, name, keep_up=keep_up)
    raise typer.Exit(EXITS.get(name, 1))


@app.command()
def rollback(
    release: Annotated[
        str,
        typer.Argument(help="id of the release to take back; its dossier and the runbook's messages name it"),
    ],
    reason: Annotated[str, typer.Option(help="why; it goes into the ledger")] = "",
) -> None:
    """Take a release back by hand: a promoted one, or one whose own rollback could not finish. Exit 0 restored, 4 broken.

    Every step may be repeated and goes on where it was. Nothing is built and nothing unverified is started.
    """
    machine, phases = prepare.machine_of(release, console.print), Phases()
    runs = _start(machine, phases)
    follower = runs.take_back(release, reason or f"by hand, by {getpass.getuser()} at the command line")
    console.print(phases.table(follower.sections()))
    name = _outcome(machine, follower)
    _end(machine, follower, name, keep_up=True)
    raise typer.Exit(0 if name == "ROLLED BACK" else EXITS.get(name, 1))


@app.command()
def rehearse(
    plan: PlanName = PLAN,
    env: Environments = "local",
    fault: Annotated[str, typer.Option(help="errors, latency or crash")] = "errors",
    keep_up: KeepUp = True,
) -> None:
    """A drill: staging with a fault, which has to be found and taken back within the plan's budget. Exit 0 if it was."""
    machine = open_machine(plan, env, console.print)
    patch, phases = _patch(fault, "staging"), Phases()
    runs = _ready(machine, phases, "")
    follower = runs.start(f"staging_rehearsal_{plan}", {"environment": env, "fault": patch})
    console.print(phases.table(follower.sections()))
    assessed = machine.ledger.last(follower.release, "drill.assessed")
    passed = assessed is not None and assessed.data["passed"] is True
    if assessed is not None:
        data = assessed.data
        console.print(
            f"found after {data['detection_seconds']:.1f} s, restored after another {data['recovery_seconds']:.1f} s, "
            f"budget {data['budget_seconds']:.0f} s"
        )
    _end(machine, follower, "DRILL PASSED" if passed else "DRILL FAILED", keep_up=keep_up)
    raise typer.Exit(0 if passed else 1)


@app.command()
def up(plan: PlanName = PLAN, env: Environments = "local") -> None:
    """Start Airflow and the platform, without a release; after a power cut it brings back what ran."""
    machine, phases = open_machine(plan, env, console.print), Phases()
    runs = _start(machine, phases)
    if unfinished := runs.unfinished():
        # The repository and the environments are that release's until it has ended.
        console.print(f"{unfinished[-1].release} has not ended; everything is as it left it")
    else:
        _prepare(machine, phases, "")
    console.print(phases.table([]))


@app.command()
def environments(
    plan: PlanName = PLAN,
    env: Environments = "compose",
    targets: Annotated[
        Path, typer.Option(help="file for Prometheus that says where the environments' proxies are")
    ] = Path("environments.json"),
) -> None:
    """Bring up the environments alone and stay until told to end; docker-compose.yaml runs this beside its Airflow."""
    keep(open_machine(plan, env, console.print), targets)


@app.command()
def down() -> None:
    """End every process; all data stays."""
    prepare.stop_everything(prepare.state_folder())


@app.command()
def status(plan: PlanName = PLAN, env: Environments = "local", as_json: Json = False) -> None:
    """What runs where with which share of traffic, and how the newest release stands."""
    now = standing(open_machine(plan, env, console.print))
    if as_json:
        sys.stdout.write(json.dumps(now.to_json(), indent=1) + "\n")
    else:
        console.print("\n".join(now.lines()))


@app.command()
def calibrate(
    plan: Annotated[str, typer.Argument(help="name of a file in include/plans, without its ending")] = PLAN,
    env: Environments = "local",
    *,
    runs: Annotated[int, typer.Option(min=100, help="gates drawn for each kind of version")] = 1000,
    error_rate: Annotated[
        float, typer.Option(min=0, max=0.5, help="share of requests that is bad where nothing is wrong")
    ] = 0.001,
    seed: Annotated[int, typer.Option(min=0, help="what is drawn from")] = 1,
    store: Annotated[
        bool, typer.Option("--store", help="keep the figures beside the plan, for the dossier")
    ] = False,
    as_json: Json = False,
) -> None:
    """What the plan's gates would do on the traffic that its environments state: false alarms, and detection times."""
    # The arrays that it works with take a while to import.
    from roundtrip.commands import calibrating
    from roundtrip.rollout.calibration import calibrations
    from roundtrip.rollout.figures import Simulation

    machine = open_machine(plan, env, console.print)
    simulation = Simulation(runs=runs, error_rate=error_rate, seed=seed)
    with console.status("simulating"):
        found = list(calibrations(machine, simulation))
    if store:
        command = f"./roundtrip calibrate {plan} --env {env} --runs {runs} --error-rate {error_rate:g} --seed {seed} --store"
        calibrating.store(machine, found, simulation, command=command, now=utc_now())
    stored = calibrating.standing(machine)
    if as_json:
        data = {"simulation": simulation.model_dump(), **calibrating.to_json(found), "stored": stored}
        sys.stdout.write(json.dumps(data, indent=1) + "\n")
        return
    console.print(*calibrating.tables(found))
    for line in calibrating.remarks(found, stored):
        console.print(line)


@app.command("restore-state")
def restore_state(
    release: Annotated[
        str, typer.Argument(help="id of the release that was taken back; its dossier names it")
    ],
    stage: Annotated[str, typer.Option(help="production or staging")] = "production",
    force: Annotated[
        bool,
        typer.Option("--force", help="also where the stable version runs alone or a release has not ended"),
    ] = False,
    as_json: Json = False,
) -> None:
    """Put back the Redis keys that the rollback of a release removed.

    A rollback copies what only the new version knows to a file, then removes it. Use this when the new version is back
    and misses what it had. Stop what writes these keys first: a key that is there with another content is never
    overwritten, it stops the command before anything is put back. Killed half way, run it again: it goes on.

    It is refused where the stable version runs alone, which does not know these keys, and while a release or rollback
    has not ended. --force does it all the same: the running one loses its hold on the environment and stops, and a later
    release takes these keys for the stable version's own, so its rollback leaves them.
    """
    opened = open_recorded(release, console.print)
    done = putting_back.restore_state(opened, stage, force=force, actor=getpass.getuser())
    if as_json:
        sys.stdout.write(json.dumps(asdict(done)) + "\n")
    else:
        console.print(
            f"{opened.environment(stage).name}: {done.keys} keys put back, {done.there} were there already, "
            f"{done.expired} have expired since"
        )


@app.command("verify-ledger")
def verify_ledger(as_json: Json = False) -> None:
    """Recompute the ledger's chain; name the first event that differs. Exit 1 when there is one."""
    count = prepare.existing_ledger(prepare.state_folder()).verify()
    sys.stdout.write(
        json.dumps({"events": count}) + "\n" if as_json else f"{count} events, the chain is whole\n"
    )


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(
    context: typer.Context,
    report: Annotated[str, typer.Option(help="file for the runner's summary")] = "",
    end_to_end: Annotated[
        bool, typer.Option(help="instead: whole releases of the real platform, half an hour and more")
    ] = False,
) -> None:
    """Run the test suite; further arguments go to pytest."""
    chosen = ["-m", "end_to_end", "tests/end_to_end", "tests/chaos"] if end_to_end else AT_ONCE
    command = [sys.executable, "-m", "pytest", *chosen, *context.args]
    process = subprocess.Popen(command, cwd=prepare.ROOT, stdout=subprocess.PIPE, text=True)
    if process.stdout is None:
        raise RuntimeError("pytest is started with a pipe")
    last: list[str] = []
    for line in process.stdout:
        sys.stdout.write(line)
        last = [*last[-80:], line]
    code = process.wait()
    if report:
        Path(report).write_text("".join(_summary(last)), encoding="utf-8")
    raise typer.Exit(code)


def _ready(machine: Machine, phases: Phases, patch: str) -> Runs:
    """Everything up, nothing of an earlier release left, the working branch laid: a run may start."""
    was_up = machine.airflow.is_up()
    runs = _start(machine, phases)
    with phases.during("earlier release"):
        runs.make_way(airflow_was_up=was_up)
    _prepare(machine, phases, patch)
    with phases.during("earlier release"):
        runs.return_to_stable()
    return runs


def _start(machine: Machine, phases: Phases) -> Runs:
    prepare.make_keys(machine)
    with phases.during("environments"):
        prepare.wake_environments(machine)
    with phases.during("Airflow"), console.status("starting Airflow"):
        login = machine.airflow.up()
    console.print(f"Airflow: {login.url}  user {login.user}  password {login.password}")
    return Runs(machine, AirflowApi(login), console)


def _prepare(machine: Machine, phases: Phases, patch: str) -> None:
    with phases.during("repository"):
        prepare.lay(machine, patch)
    with phases.during(f"{machine.plan.from_version} built, signed, verified"):
        bundles = prepare.publish_stable(machine)
    with phases.during("environments"):
        prepare.start_environments(machine, bundles)


def _patch(fault: str, stage: str) -> str:
    """The name of the patch for a fault. Raises PlanError for one that is not there."""
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


def _outcome(machine: Machine, follower: Follower) -> str:
    """What became of the release; said with its reason unless it was promoted. Raises HostError."""
    outcome = machine.ledger.last(follower.release, "release.outcome")
    if outcome is None:
        raise HostError(
            "the release has no outcome in the ledger", where=follower.release, remedy="docs/runbook.md"
        )
    name = str(outcome.data["outcome"])
    if name != "PROMOTED":
        console.print(outcome.data["reason"])
    if name == "BROKEN":
        console.print(f"next: {machine.release(follower.release).way_back}; docs/runbook.md, 'BROKEN'")
    return name


def _end(machine: Machine, follower: Follower, outcome: str, *, keep_up: bool) -> None:
    """The last line of standard output."""
    if not keep_up:
        prepare.stop_everything(machine.home)
    dossier = machine.home.dossier(follower.release)
    plan, page = machine.plan, dossier if dossier.exists() else "none"
    sys.stdout.write(f"{outcome} plan={plan.name} version={plan.to_version} dossier={page}\n")
    sys.stdout.flush()


def _summary(lines: list[str]) -> list[str]:
    """What pytest prints last: from its short summary on, or its last line."""
    starts = [i for i, line in enumerate(lines) if "short test summary info" in line]
    return lines[starts[-1] :] if starts else lines[-1:]
