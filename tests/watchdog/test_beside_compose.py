"""A release that nobody looks after any more loses its traffic: with a real engine, its containers, and a registry."""

from collections.abc import Iterator

import pytest

from tests.containers.fixtures import *  # noqa: F403 - the engine, the registry and the base image
from tests.containers.fixtures import ContainerParts
from tests.targets.compose_place import standing_compose
from tests.targets.place import Place
from tests.watchdog.conftest import plan
from tests.watchdog.contract import *  # noqa: F403 - run here, beside the compose target

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, container_parts: ContainerParts) -> Iterator[Place]:
    with standing_compose(tmp_path_factory.mktemp("watched"), container_parts, plan=plan()) as made:
        yield made
