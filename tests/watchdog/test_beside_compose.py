"""A release that nobody looks after any more loses its traffic: with a real engine, its containers, and a registry."""

from collections.abc import Iterator

import docker
import pytest

from tests.containers.fixtures import *  # noqa: F403 - the engine, the registry and the base image
from tests.containers.registry import Registry
from tests.targets.compose_place import standing_compose
from tests.targets.place import Place
from tests.watchdog.conftest import plan
from tests.watchdog.contract import *  # noqa: F403 - run here, beside the compose target

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def environment(
    tmp_path_factory: pytest.TempPathFactory,
    engine_address: str,
    docker_client: docker.DockerClient,
    registry_server: Registry,
    base_image_name: str,
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("watched")
    with standing_compose(
        folder, engine_address, docker_client, registry_server, base_image_name, plan=plan()
    ) as made:
        yield made
