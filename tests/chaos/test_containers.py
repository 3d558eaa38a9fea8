"""What the campaign does to containers, and sees of them, in a real engine."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import docker
import psutil
import pytest
from docker.errors import DockerException, ImageNotFound
from docker.models.containers import Container
from requests import RequestException

from roundtrip.plan.home import Home
from roundtrip.targets.compose.overlay import REVISION, TITLE
from tests.chaos import network, observer
from tests.chaos.containers import Containers, engine_process, main_processes
from tests.chaos.ground import Artefact
from tests.chaos.network import Way
from tests.containers import registry
from tests.containers.base import base_image
from tests.containers.engine import engine, why_none
from tests.containers.host import Host

WHY_NONE = why_none()
pytestmark = [pytest.mark.integration, pytest.mark.skipif(WHY_NONE is not None, reason=WHY_NONE or "")]

NETWORK = "looked-at"
SERVER = (
    "import http.server; server = http.server.HTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler); "
    "print('listens', flush=True); server.serve_forever()"
)
LIMIT_SECONDS = 60


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engine(tmp_path_factory.mktemp("engine"), comes_back=True) as made:
        with closing(docker.DockerClient(base_url=made)) as client:
            client.networks.create(NETWORK)
        yield made


@pytest.fixture
def client(address: str) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(base_url=address)) as made:
        yield made
        for container in made.containers.list(all=True):
            container.remove(force=True)


def serving(client: docker.DockerClient, service: str, version: str, **more: object) -> Container:
    """A container of the platform, as an observer sees it, that listens."""
    labels = {TITLE: service, REVISION: version}
    command = ["python3", "-c", SERVER]
    container = client.containers.run(
        base_image(client), command, detach=True, network=NETWORK, labels=labels, **more
    )
    assert b"".join(islice(container.logs(stream=True), 1)) == b"listens\n"
    return container


def wait(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {LIMIT_SECONDS} s for {what}"
        time.sleep(0.1)


def test_containers_are_counted_by_what_their_images_say_and_one_that_does_not_run_as_such(
    address: str, client: docker.DockerClient
) -> None:
    for version in ("1.0.0", "1.1.0", "1.1.0"):
        serving(client, "api", version)
    serving(client, "workers", "1.1.0").kill()
    client.containers.run(base_image(client), ["python3", "-c", "input()"], stdin_open=True, detach=True)
    assert observer.running_containers(address, NETWORK) == {
        ("api", "1.0.0"): 1,
        ("api", "1.1.0"): 2,
        ("workers", "1.1.0, exited"): 1,
    }


def test_a_container_whose_main_process_is_killed_has_crashed_and_is_started_again(
    client: docker.DockerClient,
) -> None:
    container = serving(client, "api", "1.0.0", restart_policy={"Name": "always"})
    [pid] = main_processes([str(container.id)]).values()
    assert psutil.Process(pid).cmdline()[-1] == SERVER
    os.kill(pid, signal.SIGKILL)

    def is_back() -> bool:
        return set(main_processes([str(container.id)]).values()) not in (set(), {pid})

    wait(is_back, "the engine to start it again")
    container.reload()
    assert container.attrs["RestartCount"] == 1


def test_the_way_into_a_container_is_broken_for_whoever_comes_over_its_network(
    client: docker.DockerClient,
) -> None:
    container = serving(client, "redis", "1.0.0", name="redis")
    [pid] = main_processes([str(container.id)]).values()
    asking = "import socket; socket.create_connection(('redis', 8000), 2); print('connected')"

    def asked() -> str:
        other = client.containers.run(
            base_image(client),
            ["python3", "-c", asking],
            network=NETWORK,
            detach=True,
        )
        other.wait(timeout=LIMIT_SECONDS)
        return str(other.logs().decode().splitlines()[-1])

    assert asked() == "connected"
    undo = network.bent(Way(8000, within=pid), "refused")
    if undo is None:
        pytest.skip("no nft on PATH, or no right to change the filter (a package of Debian)")
    assert "ConnectionRefusedError" in asked()
    undo()
    assert asked() == "connected"


def test_a_damaged_image_is_gone_from_the_engine_and_refused_until_it_is_mended(
    address: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    if reason := registry.why_none():
        pytest.skip(reason)
    with registry.registry(tmp_path) as published:
        ground = Containers(Home(tmp_path), Host(address, published, {}))
        repository = f"{published.address}/api"
        digest = pushed(client, repository, tmp_path)
        undo = ground.damage(Artefact("api", "1.1.0", digest), random.Random(1))  # noqa: S311 - a seeded byte
        with pytest.raises(ImageNotFound):
            client.images.get(f"{repository}@{digest}")
        with pytest.raises(DockerException):
            client.images.pull(repository, tag=digest)
        undo()
        assert client.images.pull(repository, tag=digest).labels[REVISION] == "1.1.0"


def pushed(client: docker.DockerClient, repository: str, folder: Path) -> str:
    """An image of the platform, in engine and registry; its digest."""
    (folder / "Dockerfile").write_text(f"FROM {base_image(client)}\n")
    labels = {TITLE: "api", REVISION: "1.1.0"}
    client.images.build(path=str(folder), tag=f"{repository}:new", labels=labels, rm=True)
    said = client.images.push(repository, tag="new", stream=True, decode=True)
    return next(str(line["aux"]["Digest"]) for line in said if "aux" in line)


def test_an_engine_that_was_killed_comes_back_with_what_it_had(
    address: str, client: docker.DockerClient
) -> None:
    container = serving(client, "api", "1.0.0", restart_policy={"Name": "always"})
    before = engine_process(address)
    psutil.Process(before).kill()

    def runs() -> bool:
        try:
            with closing(docker.DockerClient(base_url=address)) as other:
                return other.containers.get(str(container.id)).status == "running"
        except (DockerException, RequestException):
            return False

    wait(lambda: not runs(), "the engine to be gone")
    wait(runs, "the engine and its container")
    assert engine_process(address) != before


def test_nothing_is_left_of_an_engine_that_comes_back_when_it_is_ended(tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))
    with engine(tmp_path, comes_back=True):
        started = set(psutil.Process().children(recursive=True)) - before
        assert {"sh", "dockerd"} <= {process.name() for process in started}
    assert not any(process.is_running() for process in started)
