"""A container is killed as a crash would end it, and is back as an engine brings it back after one."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest
from docker.models.containers import Container

from roundtrip.errors import SmokeError
from roundtrip.smoke.killing import kill_container
from roundtrip.targets.compose.overlay import PORT
from tests.containers.fixtures import *  # noqa: F403

LASTING = ["python3", "-c", "import signal; signal.signal(signal.SIGTERM, print); signal.pause()"]


@pytest.fixture
def instance(docker_client: docker.DockerClient, base_image_name: str) -> Iterator[Container]:
    made = docker_client.containers.run(
        base_image_name, LASTING, detach=True, network_mode="none", labels={PORT: "20001"}
    )
    yield made
    made.remove(force=True)


def test_it_is_killed_and_back_under_its_own_id(instance: Container, engine_address: str) -> None:
    instance.reload()
    before = instance.attrs["State"]
    kill_container(engine_address, "127.0.0.1:20001")
    instance.reload()
    after = instance.attrs["State"]
    assert after["Running"]
    assert after["Pid"] != before["Pid"]
    assert after["StartedAt"] > before["StartedAt"]
    assert instance.logs() == b"", "nothing asked it to end"


def test_where_no_container_is_nothing_is_killed(instance: Container, engine_address: str) -> None:
    with pytest.raises(SmokeError, match=r"expected one container at 127\.0\.0\.1:20002, got 0"):
        kill_container(engine_address, "127.0.0.1:20002")
    instance.reload()
    assert instance.attrs["RestartCount"] == 0
    assert instance.status == "running"
