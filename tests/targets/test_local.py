"""What only the local target has: processes that are killed, a machine that was switched off, secrets on a disk."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import redis

from roundtrip.errors import RoundtripError, StaleTokenError, TargetError
from roundtrip.plan.deployment import Deployment, mixed, pulled
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.supervision.daemon import Daemon
from roundtrip.targets import open_target, routing
from roundtrip.targets.local.target import LocalTarget
from tests.targets.contract import ask, clients, wave
from tests.targets.place import HERE, SECRETS, Place, local

pytestmark = pytest.mark.integration
BACK_LIMIT_SECONDS = 20
KILL_SEEDS = range(8)
KILL_AFTER_SECONDS = 2.5
"""about as long as a converge takes here"""


def of(place: Place) -> LocalTarget:
    target = place.target()
    assert isinstance(target, LocalTarget)
    return target


def daemon(place: Place) -> Daemon:
    return of(place).infrastructure.daemon


@pytest.mark.chaos
@pytest.mark.parametrize("seed", KILL_SEEDS)
def test_killed_at_any_moment_the_next_converge_ends_where_it_should(place: Place, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - a seeded moment
    stable, new = place.whole("1.0.0"), place.whole("1.1.0").with_flags({"new-page": True})
    with converging(place, new) as process:
        try:
            process.wait(generator.uniform(0.3, KILL_AFTER_SECONDS))
        except subprocess.TimeoutExpired:
            process.kill()
    seen = place.target().observe()  # whatever was left half way is observed, and can be taken back
    place.converge(pulled(seen, "1.1.0"))
    desired = new if seed % 2 else stable
    assert place.converge(desired) == desired
    assert of(place)._instances.all() == sorted(of(place)._instances.healthy())
    assert ask(place)["version"] == desired.versions()[0]


def test_of_two_converges_at_once_the_newer_wins_and_the_older_says_so(place: Place) -> None:
    new, stable = place.whole("1.1.0"), place.whole("1.0.0")
    with converging(place, new) as older:
        assert older.stdout is not None
        assert older.stdout.readline().startswith("fixture_staging: acting for token")
        assert place.converge(stable) == stable
        out, _ = older.communicate(timeout=BACK_LIMIT_SECONDS)
    assert "StaleTokenError" in out
    assert older.returncode == 7
    assert place.target().observe() == stable


def test_killed_processes_are_back_by_themselves(place: Place) -> None:
    desired = place.whole("1.0.0")
    for name, process in daemon(place).processes().items():
        os.kill(process.pid, signal.SIGKILL)
        wait(lambda: place.target().observe() == desired, f"{name} to be back")
        assert daemon(place).processes()[name].pid != process.pid


def test_what_redis_acknowledged_is_there_after_it_was_killed(place: Place) -> None:
    url = place.target().redis_url()
    with redis.Redis.from_url(url) as client:
        client.set("money", "100")
    before = daemon(place).processes()["redis"].pid
    os.kill(before, signal.SIGKILL)
    wait(lambda: daemon(place).processes()["redis"].pid not in (0, before), "Redis to be back")
    place.converge(place.whole("1.0.0"))
    with redis.Redis.from_url(url) as client:
        wait(lambda: client.get("money") == b"100", "the key")


def test_a_killed_supervisor_leaves_orphans_that_the_next_converge_ends(place: Place) -> None:
    """Without the secrets, too: a gate that pulls traffic has none."""
    desired = place.whole("1.0.0")
    pids = [process.pid for process in daemon(place).processes().values()]
    kill_daemon(place)
    assert ask(place)["version"] == "1.0.0"  # the orphans still serve
    without = LocalTarget(place.environment, place.plan, place.home, no_secrets)
    assert without.converge(desired, place.next_token()) == desired
    assert not any(is_alive(pid) for pid in pids)


def test_after_a_power_cut_up_alone_brings_back_what_ran(place: Place) -> None:
    desired = mixed(place.whole("1.0.0"), place.whole("1.1.0"), place.plan, wave(50))
    place.converge(desired)
    switch_off(place)
    of(place).infrastructure.up()
    assert place.target().observe() == desired
    assert place.converge(desired) == desired


def test_a_machine_switched_off_in_the_middle_of_a_converge_comes_back_to_either(place: Place) -> None:
    new = place.whole("1.1.0")
    with converging(place, new) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("started api"):
            assert process.poll() is None
        process.kill()
        switch_off(place)
    of(place).infrastructure.up()
    assert place.converge(new) == new


def test_a_port_that_was_taken_meanwhile_is_given_up_and_no_configuration_changes(place: Place) -> None:
    desired = place.whole("1.0.0")
    infrastructure = of(place).infrastructure
    before, port = infrastructure.ports(), of(place)._instances.all()[0].port
    infrastructure.down()
    with socket.socket() as front_door, socket.socket() as api:
        for thief, taken in ((front_door, before.front_door), (api, port)):
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.bind(("127.0.0.1", taken))
            thief.listen()
        infrastructure.up()
        assert infrastructure.ports().front_door != before.front_door
        assert place.whole("1.0.0") == desired
        assert place.converge(desired) == desired
        assert ask(place)["door"] == f"{place.target().addresses().front_door}/for/redispassword"
        assert port not in {instance.port for instance in of(place)._instances.all()}


def test_down_ends_every_process_and_up_brings_them_back(place: Place) -> None:
    infrastructure = of(place).infrastructure
    pids = [process.pid for process in daemon(place).processes().values()]
    infrastructure.down()
    infrastructure.down()
    assert not any(is_alive(pid) for pid in pids)
    assert not infrastructure.is_up()
    infrastructure.up()
    assert place.target().observe() == place.whole("1.0.0")


def test_after_the_redis_password_was_rotated_the_old_one_still_opens(place: Place) -> None:
    old = place.target().redis_url()
    rotated = place.target(REDIS_PASSWORD="rotated")
    assert isinstance(rotated, LocalTarget)
    rotated.infrastructure.up()
    for url in (old, rotated.redis_url()):
        with redis.Redis.from_url(url) as client:
            assert client.execute_command("PING")
    with (
        redis.Redis.from_url(old.replace("redispassword", "guessed")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.execute_command("PING")


def test_a_request_that_was_sent_is_never_sent_again(place: Place) -> None:
    log = place.folder / "delivered.log"
    log.unlink(missing_ok=True)
    door = place.target().addresses().front_door
    answer = httpx.post(f"{door}/die", content="once", trust_env=False, timeout=10)
    assert answer.status_code == 502
    assert log.read_text() == "once\n"


def test_a_request_that_reached_no_process_is_answered_by_another_version(place: Place) -> None:
    """The failed attempt still counts against the version that is gone, so a gate sees it."""
    place.converge(mixed(place.whole("1.0.0"), place.whole("1.1.0"), place.plan, wave(50)))
    canary = next(i for i in of(place)._instances.all() if (i.service, i.version) == ("api", "1.1.0"))
    daemon(place).begin_stop(canary.name)
    wait(lambda: canary in of(place)._instances.idle([canary]), "the canary to be gone")
    answers = [ask(place)["version"] for _ in range(20)]
    assert answers == ["1.0.0"] * 20
    page = httpx.get(place.target().addresses().proxy_metrics, trust_env=False).text
    failed = [line for line in page.splitlines() if 'code="502"' in line and "api-1-1-0@file" in line]
    assert failed
    observed = place.target().observe()
    assert [(p.version, p.weight_percent) for p in observed.of("api")] == [("1.0.0", 50)]
    assert place.converge(pulled(observed, "1.1.0")).of("api")[0].weight_percent == 100


def test_no_secret_is_in_an_argument_list_or_a_readable_file(place: Place) -> None:
    assert ask(place)["greeting"] == SECRETS["GREETING"]
    seen = 0
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        seen += str(place.folder).encode() in words
        assert not any(secret.encode() in words for secret in SECRETS.values())
    assert seen >= 2  # supervisord and Traefik name the folder; Redis and the services do not
    for file in place.home.root.rglob("*"):
        if file.is_file() and (file.stat().st_mode & 0o077 or file.suffix in (".conf", ".log", ".yaml")):
            content = file.read_bytes()
            assert not any(secret.encode() in content for secret in SECRETS.values()), file
    assert daemon(place).socket.parent.stat().st_mode & 0o777 == 0o700


def test_a_version_that_does_not_become_healthy_is_ended_since_it_may_take_work(place: Place) -> None:
    before = of(place)._instances.all()
    sick = replace(
        place.placement("workers", "1.1.0", 2), bundle=place.packing.pack("workers", "1.1.0", "sick")
    )
    started: list[str] = []
    with pytest.raises(TargetError, match=r"workers-1\.1\.0-1, workers-1\.1\.0-2 did not become healthy"):
        place.target().converge(
            Deployment((*place.whole("1.0.0").of("api"), sick)), place.next_token(), started.append
        )
    assert "started workers-1.1.0-2" in started
    assert of(place)._instances.all() == before
    assert not any("1.1.0" in name for name in daemon(place).processes())


def test_a_canary_that_starves_the_stable_version_is_pulled_and_stopped_all_the_same(place: Place) -> None:
    stable = place.whole("1.0.0")
    both = mixed(stable, place.whole("1.1.0"), place.plan, wave(50))
    place.converge(both)
    overloaded = place.folder / "overloaded"
    overloaded.write_text("1.0.0")
    api = of(place).infrastructure.api
    with pytest.raises(TargetError, match="observed"):  # it says that it cannot see what it has done
        place.converge(pulled(both, "1.1.0"))
    assert {b.version for b in routing.read(api()) if b.weight_percent} == {"1.0.0"}
    with pytest.raises(TargetError, match="observed"):
        place.converge(stable)
    assert {i.version for i in of(place)._instances.all()} == {"1.0.0"}
    overloaded.unlink()
    assert place.converge(stable) == stable


def test_no_client_request_fails_though_the_service_ends_without_draining(place: Place) -> None:
    """So it is the proxy that has nothing open there any more when the process is told to end."""
    stable = place.whole("1.0.0")
    abrupt = [
        Deployment(
            (
                replace(
                    stable.of("api")[0], replicas=count, bundle=place.packing.pack("api", "1.0.0", "abrupt")
                ),
            )
        )
        for count in (1, 2)
    ]
    place.converge(abrupt[0])
    with clients(place) as counted:
        for desired in (abrupt[1], abrupt[0], stable):
            place.converge(desired)
    assert counted["failed"] == 0, counted
    assert counted["answered"] > 100


def test_what_is_scraped_is_what_runs(place: Place) -> None:
    desired = mixed(place.whole("1.0.0"), place.whole("1.1.0"), place.plan, wave(50))
    place.converge(desired)
    groups = json.loads(place.target().addresses().scrape_file.read_text())
    labels = [(group["labels"]["service"], group["labels"]["version"]) for group in groups]
    assert sorted(labels) == sorted(
        (p.service, p.version) for p in desired.placements for _ in range(p.replicas)
    )
    for group in groups:
        answer = httpx.get(f"http://{group['targets'][0]}/", trust_env=False).json()
        assert answer["version"] == group["labels"]["version"]
        assert group["labels"]["__metrics_path__"] == "/metrics"


def test_unpacked_bundles_that_nothing_ran_for_a_day_are_removed(place: Place) -> None:
    """A rollback finds those of the version before still unpacked."""

    def unpacked(*versions: str) -> set[str]:
        return {place.bundles[s, v].removeprefix("sha256:") for s in ("api", "workers") for v in versions}

    def kept() -> set[str]:
        return {folder.name for folder in (place.folder / "bundles").iterdir() if folder.name[0] != "."}

    place.converge(place.whole("1.1.0"))
    assert kept() >= unpacked("1.0.0", "1.1.0")
    for name in kept():
        os.utime(place.folder / "bundles" / name, (0, 0))
    place.converge(place.whole("1.1.0"))
    assert kept() == unpacked("1.1.0")


def test_the_internal_address_reaches_each_service(place: Place) -> None:
    internal = place.target().addresses().internal
    for service in ("api", "workers"):
        assert httpx.get(f"{internal}/{service}/", trust_env=False).json()["version"] == "1.0.0"
    assert httpx.get(f"{internal}/unknown/", trust_env=False).status_code == 404


def test_an_environment_that_was_never_up_says_what_to_do(place: Place, tmp_path: Path) -> None:
    never = local(place.environment, place.plan, Home(tmp_path), SECRETS)
    with pytest.raises(TargetError, match=r"was never started .* -> \./roundtrip up starts it"):
        never.converge(Deployment(), 1)
    with pytest.raises(TargetError, match="was never started"):
        never.addresses()


def test_the_stand_in_for_github_runs_where_the_configuration_names_it(tmp_path: Path) -> None:
    here = Environment(
        name="with_login",
        stage="staging",
        target=LocalTargetSettings(kind="local"),
        configuration={"GITHUB_BASE_URL": "{github}"},
        secrets_connection="fixture",
        signing_connection="fixture",
    )
    secrets = {**SECRETS, "GITHUB_ID": "id-of-the-app", "GITHUB_SECRET": "secret-of-the-app"}
    plan = load_plan(HERE / "plan.yaml")
    target = open_target(here, plan, Home(tmp_path / "home"), lambda _: secrets)
    assert isinstance(target, LocalTarget)
    target.infrastructure.up()
    try:
        github = target.infrastructure.places()["github"]
        about = {"client_id": "another-app", "redirect_uri": "http://127.0.0.1:1/"}
        answer = httpx.get(f"{github}/login/oauth/authorize", params=about, trust_env=False)
        assert answer.status_code == 404
    finally:
        target.infrastructure.down()


def test_no_client_request_fails_while_a_converge_is_killed_and_taken_back(place: Place) -> None:
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    with clients(place) as counted:
        with converging(place, new) as process:
            assert process.stdout is not None
            while not process.stdout.readline().startswith("traffic"):
                assert process.poll() is None
            process.kill()
        place.converge(stable)
    assert counted["failed"] == 0, counted


def kill_daemon(place: Place) -> None:
    pid = int((daemon(place).folder / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not daemon(place).is_running(), "supervisord to be gone")


def switch_off(place: Place) -> None:
    """Every process ends at once; sockets, pid files and locks stay behind."""
    pids = [process.pid for process in daemon(place).processes().values() if process.pid]
    kill_daemon(place)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait(lambda: not any(is_alive(pid) for pid in pids), "all to be gone")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BACK_LIMIT_SECONDS
    while True:
        try:
            if holds():
                return
        except (RoundtripError, redis.RedisError) as error:
            assert not isinstance(error, StaleTokenError)
        assert time.monotonic() < deadline, f"waited {BACK_LIMIT_SECONDS} s for {what}"
        time.sleep(0.05)


def no_secrets(connection: str) -> dict[str, str]:
    raise RuntimeError(f"asked for the secrets of {connection}")


@contextmanager
def converging(place: Place, desired: Deployment) -> Iterator[subprocess.Popen[str]]:
    """A process that converges; it prints each step, and ends with 7 when it was overtaken."""
    command = [sys.executable, "-c", _CONVERGE, str(place.home.root), json.dumps(desired.to_json())]
    with subprocess.Popen(
        [*command, str(place.next_token())],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


_CONVERGE = """
import json, sys
from pathlib import Path
from roundtrip.errors import StaleTokenError
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.plan.loading import load_plan
from tests.targets.place import HERE, SECRETS, environment, local
target = local(environment(), load_plan(HERE / "plan.yaml"), Home(Path(sys.argv[1])), SECRETS)
desired = Deployment.from_json(json.loads(sys.argv[2]))
try:
    target.converge(desired, int(sys.argv[3]), lambda step: print(step, flush=True))
except StaleTokenError as error:
    print(error)
    sys.exit(7)
"""
