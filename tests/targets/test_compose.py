"""What only the compose target has: the platform's own file, labels, a registry, an engine that is not there."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import docker
import httpx
import pytest
import redis

from roundtrip.errors import HostError, TargetError
from roundtrip.plan.deployment import Deployment, pulled
from roundtrip.plan.environment import ComposeTargetSettings
from roundtrip.targets.compose.target import ComposeTarget
from tests.containers.fixtures import *  # noqa: F403 - the engine, the registry and the base image
from tests.targets.compose_place import compose, standing  # noqa: F401 - its own place instead of the local one
from tests.targets.contract import ask
from tests.targets.images import Images
from tests.targets.place import HERE, SECRETS, Place

pytestmark = pytest.mark.integration
KILL_SEEDS = range(4)
KILL_AFTER_SECONDS = 6.0
"""about as long as a converge takes here"""
BACK_LIMIT_SECONDS = 30


def of(place: Place) -> ComposeTarget:
    target = place.target()
    assert isinstance(target, ComposeTarget)
    return target


@pytest.mark.chaos
@pytest.mark.parametrize("seed", KILL_SEEDS)
def test_killed_at_any_moment_the_next_converge_ends_where_it_should(place: Place, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 - a seeded moment
    stable, new = place.whole("1.0.0"), place.whole("1.1.0").with_flags({"new-page": True})
    with converging(place, new) as process:
        try:
            process.wait(generator.uniform(0.3, KILL_AFTER_SECONDS))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # Compose with it
    seen = place.target().observe()  # whatever was left half way is observed, and can be taken back
    place.converge(pulled(seen, "1.1.0"))
    desired = new if seed % 2 else stable
    assert place.converge(desired) == desired
    assert ask(place)["version"] == desired.versions()[0]


def test_a_container_whose_process_ended_is_back_by_itself_at_its_own_port(
    place: Place, docker_client: docker.DockerClient
) -> None:
    desired = place.whole("1.0.0")
    [before] = [i for i in of(place)._instances.all() if i.service == "api"]
    with pytest.raises(httpx.HTTPError):
        httpx.post(f"http://127.0.0.1:{before.port}/die", content="", trust_env=False)
    wait(
        lambda: docker_client.containers.get(before.id).attrs["RestartCount"] > 0, "the container to be back"
    )
    wait(lambda: place.target().observe() == desired, "its health")
    assert before in of(place)._instances.all()
    assert ask(place)["version"] == "1.0.0"


def test_what_was_stopped_is_up_again_with_the_environment(place: Place) -> None:
    desired = place.whole("1.0.0")
    of(place).infrastructure.down()
    assert not of(place).infrastructure.is_up()
    of(place).infrastructure.up()
    wait(lambda: place.target().observe() == desired, "what ran before")


def test_what_an_engine_that_was_killed_has_left_down_is_observed_and_taken_back(
    place: Place, docker_client: docker.DockerClient
) -> None:
    """Containers that it finds alive it stops as if somebody had (20.10), so their policy does not start them again."""
    desired = place.whole("1.0.0")
    place.converge(desired)
    for container in docker_client.containers.list():
        container.kill()
    assert place.target().observe() == Deployment((), desired.flags)
    assert place.converge(desired) == desired
    assert ask(place)["version"] == "1.0.0"


@pytest.mark.parametrize("server", ["proxy", "redis"])
def test_a_server_that_somebody_has_removed_is_made_again_by_the_next_converge(
    place: Place, docker_client: docker.DockerClient, server: str
) -> None:
    desired, infrastructure = place.whole("1.0.0"), of(place).infrastructure
    place.converge(desired)
    with redis.Redis.from_url(infrastructure.redis_url()) as client:
        client.set("kept", "yes")
    docker_client.containers.get(getattr(infrastructure, server)).remove(force=True)
    assert place.converge(desired) == desired
    assert ask(place)["version"] == "1.0.0"
    with redis.Redis.from_url(infrastructure.redis_url()) as client:
        assert client.get("kept") == b"yes"


def test_the_platforms_own_section_says_how_a_service_is_run(
    place: Place, docker_client: docker.DockerClient
) -> None:
    """All of it but what is the environment's: other ports, what is built, what it waits for."""
    section = {
        "build": "api",
        "environment": {"GREETING": "${GREETING:?}", "OF_THE_PLATFORM": "yes"},
        "depends_on": {"redis": {"condition": "service_healthy"}},
        "ports": ["127.0.0.1:1:1"],
        "stop_grace_period": "7s",
    }
    assert isinstance(place.packing, Images)
    digest = place.packing.pack("api", "1.1.0", section=section)
    desired = Deployment((replace(place.placement("api", "1.1.0"), bundle=digest),))
    assert place.converge(desired) == desired
    [made] = of(place)._instances.all()
    attributes = docker_client.containers.get(made.id).attrs
    assert "OF_THE_PLATFORM=yes" in attributes["Config"]["Env"]
    assert attributes["Config"]["StopTimeout"] == 7
    assert [list(ports) for ports in attributes["HostConfig"]["PortBindings"].items()] == [
        ["8000/tcp", [{"HostIp": "127.0.0.1", "HostPort": str(made.port)}]]
    ]
    assert attributes["HostConfig"]["CapDrop"] == ["ALL"]


def test_what_is_in_the_engine_needs_no_registry(place: Place) -> None:
    away = target_with(place, registry="127.0.0.1:1")
    assert away.converge(place.whole("1.0.0"), place.next_token()) == place.whole("1.0.0")


def test_a_registry_that_does_not_answer_is_named_and_nothing_changes(place: Place) -> None:
    process = ask(place)["process"]
    away = target_with(place, registry="127.0.0.1:1")
    with pytest.raises(TargetError, match=r"the registry does not answer: .* at 127\.0\.0\.1:1/api@sha256:"):
        away.converge(place.whole("1.1.0"), place.next_token())
    assert ask(place)["process"] == process


def test_an_engine_that_does_not_answer_is_named(place: Place) -> None:
    with pytest.raises(
        HostError, match=r"the Docker Engine does not answer: .* at unix:///nowhere/docker\.sock"
    ):
        target_with(place, engine="unix:///nowhere/docker.sock").observe()


def test_no_secret_is_in_a_label_or_an_argument(place: Place, docker_client: docker.DockerClient) -> None:
    for container in docker_client.containers.list(all=True):
        config = container.attrs["Config"]
        told = json.dumps([config["Labels"], config["Cmd"], config["Entrypoint"]])
        assert not any(secret in told for secret in SECRETS.values()), container.name


def target_with(place: Place, **changes: str) -> ComposeTarget:
    settings = place.environment.target
    assert isinstance(settings, ComposeTargetSettings)
    other = place.environment.model_copy(update={"target": settings.model_copy(update=changes)})
    return compose(other, place.plan, place.home, SECRETS)


@contextmanager
def converging(place: Place, desired: Deployment) -> Iterator[subprocess.Popen[str]]:
    """A converge in a process of its own, told what to do by its standard input."""
    told = {
        "environment": place.environment.model_dump(mode="json"),
        "home": str(place.home.root),
        "desired": desired.to_json(),
        "token": place.next_token(),
    }
    command = [sys.executable, "-m", "tests.targets.converge_compose"]
    with subprocess.Popen(
        command,
        cwd=HERE.parents[1],
        env={**os.environ, "PYTHONPATH": "include:."},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(told))
        process.stdin.close()
        yield process


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BACK_LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {BACK_LIMIT_SECONDS} s for {what}"
        time.sleep(0.1)
