"""What every target has to obey, told against the protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from roundtrip.errors import ArtefactError, StaleTokenError, TargetError
from roundtrip.plan.deployment import Deployment, mixed, pulled, retired
from roundtrip.plan.model import Wave
from roundtrip.targets.local import target as local_target
from tests.targets.conftest import SECRETS, Place, pack_service

pytestmark = pytest.mark.integration
HALF = Wave(number=1, last=False, traffic_percent=50, worker_step_percent=50)


def test_what_was_converged_is_what_is_observed(place: Place) -> None:
    desired = place.whole("1.0.0").with_flags({"new-page": True})
    assert place.converge(desired) == desired
    assert place.target().observe() == desired


def test_converging_again_changes_no_process(place: Place) -> None:
    place.converge(place.whole("1.0.0"))
    before = _pids(place)
    place.converge(place.whole("1.0.0"))
    assert _pids(place) == before


def test_a_release_goes_forward_and_back(place: Place) -> None:
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    steps = [stable, mixed(stable, new, place.plan, HALF)]
    steps += [pulled(steps[-1], "1.1.0"), retired(steps[-1], "1.1.0"), new, stable]
    for desired in steps:
        assert place.converge(desired) == desired


def test_a_stale_token_is_refused_and_changes_nothing(place: Place) -> None:
    place.target().converge(place.whole("1.0.0"), 7)
    with pytest.raises(StaleTokenError, match="token 6 is older than 7"):
        place.target().converge(place.whole("1.1.0"), 6)
    assert place.target().observe() == place.whole("1.0.0")


def test_a_converge_that_is_overtaken_in_the_middle_stops(place: Place) -> None:
    place.target().converge(place.whole("1.0.0"), 1)
    overtaken: list[Deployment] = []

    def overtake(step: str) -> None:
        if step.startswith("started") and not overtaken:
            overtaken.append(place.target().converge(place.whole("1.0.0"), 3))

    with pytest.raises(StaleTokenError, match="token 2 is older than 3"):
        place.target().converge(place.whole("1.1.0"), 2, overtake)
    assert overtaken == [place.whole("1.0.0")]
    assert place.target().observe() == place.whole("1.0.0")


def test_a_bundle_with_one_flipped_byte_is_refused_and_nothing_changes(place: Place) -> None:
    place.converge(place.whole("1.0.0"))
    file = place.target()._store.path(place.bundles["api", "1.1.0"])
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    before = _pids(place)
    with pytest.raises(ArtefactError, match=r"expected sha256:[0-9a-f]+, got sha256:[0-9a-f]+"):
        place.converge(place.whole("1.1.0"))
    assert place.target().observe() == place.whole("1.0.0")
    assert _pids(place) == before


def test_a_version_that_does_not_become_healthy_gets_no_traffic(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_target, "HEALTHY_LIMIT_SECONDS", 3)
    stable = place.whole("1.0.0")
    place.converge(stable)
    sick = pack_service(place.home, tmp_path / "sick", "api", "1.1.0", is_sick=True)
    desired = Deployment((*stable.of("workers"), replace(place.placement("api", "1.1.0"), bundle=sick)))
    with pytest.raises(TargetError, match=r"api-1\.1\.0-1 did not become healthy within 3 s"):
        place.converge(desired)
    assert _ask(place)["version"] == "1.0.0"
    assert place.converge(stable) == stable


def test_a_missing_secret_is_named_and_its_neighbours_are_not_shown(place: Place) -> None:
    broken = local_target.LocalTarget(
        place.environment,
        place.plan,
        place.home,
        lambda _: {"REDIS_PASSWORD": "redispassword", "GREETING": "NOT OK"},
    )
    with pytest.raises(Exception, match=r"GREETING does not match \[a-z-\]\+") as raised:
        broken.configurations("1.0.0")
    assert "NOT OK" not in str(raised.value)


def test_no_secret_is_in_an_argument_list_or_a_readable_file(place: Place) -> None:
    place.converge(place.whole("1.0.0"))
    assert _ask(place)["greeting"] == SECRETS["GREETING"]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes()
        except OSError:
            continue
        assert all(secret.encode() not in words for secret in SECRETS.values())
    for file in place.home.root.rglob("*"):
        if file.is_file() and file.stat().st_mode & 0o077:
            content = file.read_bytes()
            assert all(secret.encode() not in content for secret in SECRETS.values()), file


@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment_and_run_again_it_ends_in_the_same_place(place: Place, seed: int) -> None:
    place.converge(place.whole("1.0.0"))
    desired = place.whole("1.1.0")
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _CONVERGE,
            str(place.home.root),
            json.dumps(desired.to_json()),
            str(place.next_token()),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    for _ in range(seed):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert place.converge(desired) == desired


def test_killed_processes_are_back_by_themselves(place: Place) -> None:
    desired = place.whole("1.0.0")
    place.converge(desired)
    for name, process in place.target().infrastructure.daemon.processes().items():
        os.kill(process.pid, signal.SIGKILL)
        _wait(lambda: place.target().observe() == desired, f"{name} to be back")


def test_after_a_power_cut_up_and_converge_bring_everything_back(place: Place) -> None:
    desired = place.whole("1.0.0")
    place.converge(desired)
    daemon = place.target().infrastructure.daemon
    pids = [
        int((daemon.folder / "supervisord.pid").read_text()),
        *(p.pid for p in daemon.processes().values()),
    ]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    place.target().infrastructure.up()
    assert place.converge(desired) == desired


def test_no_client_request_fails_while_traffic_moves(place: Place) -> None:
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    place.converge(stable)
    url = place.target().addresses().front_door
    with subprocess.Popen(
        [sys.executable, "-c", _CLIENTS, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clients:
        assert clients.stdin and clients.stdout
        clients.stdout.readline()
        for percent in (10, 50, 90):
            wave = Wave(number=1, last=False, traffic_percent=percent, worker_step_percent=50)
            place.converge(mixed(stable, new, place.plan, wave))
        place.converge(new)
        place.converge(stable)
        out, _ = clients.communicate("stop\n", timeout=30)
    answered, failed = json.loads(out.splitlines()[-1])
    assert failed == 0
    assert answered > 100


_CONVERGE = """
import json, sys
from pathlib import Path
from roundtrip.plan.deployment import Deployment
from roundtrip.plan.environment import Environment, LocalTargetSettings
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.targets.local.target import LocalTarget
from tests.targets.conftest import HERE, SECRETS
environment = Environment(name="fixture_staging", stage="staging", target=LocalTargetSettings(kind="local"),
                          secrets_connection="fixture", signing_connection="fixture")
target = LocalTarget(environment, load_plan(HERE / "plan.yaml"), Home(Path(sys.argv[1])), lambda _: SECRETS)
desired = Deployment.from_json(json.loads(sys.argv[2]))
target.converge(desired, int(sys.argv[3]), lambda step: print(step, flush=True))
"""

_CLIENTS = """
import json, sys, threading, httpx
stop, results = threading.Event(), []
def client():
    answered = failed = 0
    with httpx.Client(base_url=sys.argv[1], trust_env=False, timeout=10) as c:
        while not stop.is_set():
            c.cookies.clear()
            try:
                ok = c.get("/").status_code == 200
            except httpx.HTTPError:
                ok = False
            answered, failed = answered + ok, failed + (not ok)
    results.append((answered, failed))
threads = [threading.Thread(target=client) for _ in range(8)]
[t.start() for t in threads]
print("started", flush=True)
sys.stdin.readline()
stop.set()
[t.join() for t in threads]
print(json.dumps([sum(a for a, _ in results), sum(f for _, f in results)]))
"""


def _ask(place: Place) -> dict:
    return httpx.get(place.target().addresses().front_door, trust_env=False, timeout=10).json()


def _pids(place: Place) -> dict[str, int]:
    return {name: p.pid for name, p in place.target().infrastructure.daemon.processes().items()}


def _wait(holds, what: str, limit_seconds: float = 20) -> None:
    deadline = time.monotonic() + limit_seconds
    while True:
        try:
            if holds():
                return
        except TargetError:
            pass
        assert time.monotonic() < deadline, f"waited {limit_seconds} s for {what}"
        time.sleep(0.05)
