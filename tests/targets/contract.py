"""What every kind of target has to obey, told against the protocol.

A kind's own test module imports everything from here and has a fixture `place` of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import httpx
import pytest

from roundtrip.errors import ArtefactError, SecretError, StaleTokenError, TargetError
from roundtrip.plan.deployment import Deployment, mixed, pulled, retired
from roundtrip.plan.model import Wave
from tests.targets.place import HERE, Place

WAVES_PERCENT = (10, 50, 90)
SEQUENCE_SEEDS = (1, 2)
SEQUENCE_LENGTH = 4


def wave(percent: int, workers_percent: int = 50) -> Wave:
    return Wave(number=1, last=False, traffic_percent=percent, worker_step_percent=workers_percent)


def test_what_was_converged_is_what_is_observed(place: Place) -> None:
    desired = place.whole("1.1.0").with_flags({"new-page": True})
    assert place.converge(desired) == desired
    assert place.target().observe() == desired
    assert ask(place)["version"] == "1.1.0"
    assert ask(place, "/flags") == {"flags": {"new-page": True}}


def test_converging_again_changes_no_process(place: Place) -> None:
    before = ask(place)["process"]
    place.converge(place.whole("1.0.0"))
    assert ask(place)["process"] == before


def test_a_release_goes_forward_and_back(place: Place) -> None:
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    canary = mixed(stable, new, place.plan, wave(50))
    for desired in (canary, pulled(canary, "1.1.0"), retired(canary, "1.1.0"), new, stable):
        assert place.converge(desired) == desired


@pytest.mark.parametrize("seed", SEQUENCE_SEEDS)
def test_any_way_to_a_deployment_ends_in_it(place: Place, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - a seeded order of steps
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    known = [
        stable.with_flags({"new-page": False}),
        new.with_flags({"new-page": True}),
        mixed(stable, new, place.plan, wave(10)),
        pulled(mixed(stable, new, place.plan, wave(90)), "1.1.0"),
        Deployment(stable.of("api")),
        Deployment(),
    ]
    for desired in generator.choices(known, k=SEQUENCE_LENGTH):
        assert place.converge(desired) == desired
        assert place.target().observe() == desired


def test_a_stale_token_is_refused_and_changes_nothing(place: Place) -> None:
    stale, newest = place.next_token(), place.next_token()
    place.target().converge(place.whole("1.0.0"), newest)
    with pytest.raises(StaleTokenError, match=f"token {stale} is older than {newest}"):
        place.target().converge(place.whole("1.1.0"), stale)
    assert place.target().observe() == place.whole("1.0.0")


@pytest.mark.parametrize("step", ["acting for token", "started ", "instances are healthy", "traffic: "])
def test_a_converge_that_is_overtaken_in_the_middle_stops(place: Place, step: str) -> None:
    older, newer = place.next_token(), place.next_token()
    overtaken: list[Deployment] = []

    def overtake(said: str) -> None:
        if step in said and not overtaken:
            overtaken.append(place.target().converge(place.whole("1.0.0"), newer))

    with pytest.raises(StaleTokenError, match=f"token {older} is older than {newer}"):
        place.target().converge(place.whole("1.1.0"), older, overtake)
    assert overtaken == [place.whole("1.0.0")]
    assert place.target().observe() == place.whole("1.0.0")
    assert ask(place)["version"] == "1.0.0"


def test_a_client_sees_one_release_of_all_services(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them first asks one service or the other, and stays with what it got for both."""
    workers = place.plan.services["workers"].model_copy(update={"queue": False, "route": "/workers"})
    services = {**place.plan.services, "workers": workers}
    monkeypatch.setattr(place, "plan", place.plan.model_copy(update={"services": services}))
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    half = mixed(stable, new, place.plan, wave(50))
    seen = {}
    with clients_of(place, 12) as clients:
        for step, desired in {
            "half": half,
            "pulled": pulled(half, "1.1.0"),
            "again": half,
            "new": new,
        }.items():
            place.converge(desired)
            seen[step] = [versions_seen(client, number) for number, client in enumerate(clients)]
        fresh = [versions_seen(client, 0) for client in clients]
    assert all(len(versions) == 1 for step in seen.values() for versions in step), seen
    assert {v for versions in seen["half"] for v in versions} == {"1.0.0", "1.1.0"}
    assert seen["pulled"] == seen["again"] == [{"1.0.0"}] * 12, "who is there stays where it is"
    assert seen["new"] == fresh == [{"1.1.0"}] * 12


def test_the_routes_of_the_front_door_are_those_that_are_served_whatever_the_weights(place: Place) -> None:
    expected = {"PathPrefix(`/`)": "api"}
    assert place.target().routes() == expected
    place.converge(mixed(place.whole("1.0.0"), place.whole("1.1.0"), place.plan, wave(50)))
    assert place.target().routes() == expected
    place.converge(Deployment())
    assert place.target().routes() == {}


def test_a_service_reaches_those_of_its_own_release_with_or_without_traffic(place: Place) -> None:
    def inside(path: str) -> str:
        answer = httpx.get(f"{place.target().addresses().internal}/{path}/", trust_env=False, timeout=10)
        return str(answer.json()["version"])

    assert inside("1.1.0/api") == "1.0.0", "what a release does not have is given by weight"
    place.converge(pulled(mixed(place.whole("1.0.0"), place.whole("1.1.0"), place.plan, wave(50)), "1.1.0"))
    found = {path: inside(path) for path in ("1.0.0/api", "1.1.0/api", "api", "1.1.0/workers")}
    assert found == {"1.0.0/api": "1.0.0", "1.1.0/api": "1.1.0", "api": "1.0.0", "1.1.0/workers": "1.1.0"}


def test_a_bundle_with_one_flipped_byte_is_refused_and_nothing_changes(place: Place) -> None:
    process = ask(place)["process"]
    with (
        place.packing.flipped(place.bundles["api", "1.1.0"]),
        pytest.raises(ArtefactError, match=place.packing.refused),
    ):
        place.converge(place.whole("1.1.0").with_flags({"new-page": True}))
    assert place.target().observe() == place.whole("1.0.0")
    assert ask(place)["process"] == process


def test_a_bundle_of_another_version_is_refused_and_nothing_changes(place: Place) -> None:
    workers = place.packing.offered("api", place.bundles["workers", "1.1.0"])
    swapped = replace(place.placement("api", "1.1.0"), bundle=workers)
    with pytest.raises(TargetError, match=r"the bundle is workers 1\.1\.0, expected api 1\.1\.0"):
        place.converge(Deployment((swapped,)))
    assert place.target().observe() == place.whole("1.0.0")


def test_a_configuration_that_is_not_kept_is_refused_and_nothing_changes(place: Place) -> None:
    unknown = replace(place.placement("api", "1.1.0"), configuration="sha256:" + "0" * 64)
    with pytest.raises(TargetError, match=r"no configuration sha256:0+ is kept here"):
        place.converge(Deployment((unknown,)))
    assert place.target().observe() == place.whole("1.0.0")


def test_a_version_that_does_not_become_healthy_gets_no_traffic_and_is_ended(place: Place) -> None:
    stable, process = place.whole("1.0.0"), ask(place)["process"]
    sick = replace(place.placement("api", "1.1.0"), bundle=place.packing.pack("api", "1.1.0", "sick"))
    desired = Deployment((*stable.of("workers"), sick), {"new-page": True})
    with pytest.raises(
        TargetError, match=rf"api.1.1.0.* did not become healthy within {place.healthy_limit_seconds} s"
    ):
        place.converge(desired)
    assert ask(place)["process"] == process
    observed = place.target().observe()
    assert observed.placements == stable.placements
    assert observed.flags == {"new-page": False}


def test_after_a_rotation_a_rollback_restores_the_prior_values(place: Place) -> None:
    before = place.whole("1.0.0")
    rotated = place.target(GREETING="rotated").configurations("1.0.0")["api"]
    assert rotated != before.of("api")[0].configuration
    place.converge(Deployment((replace(before.of("api")[0], configuration=rotated),)))
    assert ask(place)["greeting"] == "rotated"
    place.converge(before)
    assert ask(place)["greeting"] == "hello-from-a-secret"


def test_a_malformed_secret_is_named_and_its_value_is_not_shown(place: Place) -> None:
    with pytest.raises(SecretError, match=r"GREETING does not match \[a-z-\]\+") as raised:
        place.target(GREETING="NOT OK").configurations("1.0.0")
    assert "NOT OK" not in str(raised.value)


def test_no_client_request_fails_while_traffic_moves_and_versions_retire(place: Place) -> None:
    stable, new = place.whole("1.0.0"), place.whole("1.1.0")
    with clients(place) as counted:
        place.converge(mixed(stable, new, place.plan, wave(10)))
        for percent in WAVES_PERCENT:
            place.converge(mixed(stable, new, place.plan, wave(percent)))
        place.converge(new)
        place.converge(mixed(stable, new, place.plan, wave(50)))
        place.converge(pulled(mixed(stable, new, place.plan, wave(50)), "1.1.0"))
        place.converge(stable)
    assert counted["failed"] == 0, counted
    assert counted["answered"] > 500


def test_no_client_request_fails_while_a_version_is_replaced_by_itself(place: Place) -> None:
    rotated = place.target(GREETING="rotated").configurations("1.0.0")["api"]
    stable = place.whole("1.0.0")
    with clients(place) as counted:
        place.converge(Deployment((replace(stable.of("api")[0], configuration=rotated, replicas=2),)))
        place.converge(stable)
    assert counted["failed"] == 0, counted
    assert counted["answered"] > 100


@contextmanager
def clients(place: Place) -> Iterator[dict]:
    """Clients at the front door for as long as the block lasts; then what they counted."""
    counted: dict = {}
    command = [sys.executable, str(HERE / "clients.py"), place.target().addresses().front_door]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        try:
            yield counted
        finally:
            out, _ = process.communicate("stop\n", timeout=60)
            counted.update(json.loads(out.splitlines()[-1]))


@contextmanager
def clients_of(place: Place, number: int) -> Iterator[list[httpx.Client]]:
    """Clients at the front door that keep their cookies."""
    door = place.target().addresses().front_door
    with ExitStack() as open_clients:
        yield [
            open_clients.enter_context(httpx.Client(base_url=door, trust_env=False, timeout=10))
            for _ in range(number)
        ]


def versions_seen(client: httpx.Client, turn: int) -> set[str]:
    """By the two services, each asked three times in turn, `turn` says which one first."""
    paths = ("/", "/workers/", "/")[turn % 2 :][:2] * 3
    return {client.get(path).json()["version"] for path in paths}


def ask(place: Place, path: str = "/") -> dict:
    return httpx.get(place.target().addresses().front_door + path, trust_env=False, timeout=10).json()
