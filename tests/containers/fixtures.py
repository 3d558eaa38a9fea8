"""The container parts as fixtures; without one, what needs it is skipped and says why."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.containers.base import base_image
from tests.containers.engine import engine
from tests.containers.engine import why_none as why_no_engine
from tests.containers.registry import Registry, registry
from tests.containers.registry import why_none as why_no_registry

__all__ = ["base_image_name", "docker_client", "engine_address", "registry_server"]


@pytest.fixture(scope="session")
def engine_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`unix://…` of a Docker Engine."""
    if why := why_no_engine():
        pytest.skip(why)
    with engine(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture(scope="session")
def docker_client(engine_address: str) -> docker.DockerClient:
    return docker.DockerClient(base_url=engine_address)


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """An empty registry."""
    if why := why_no_registry():
        pytest.skip(why)
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="session")
def base_image_name(docker_client: docker.DockerClient) -> str:
    """A base image with Python and a shell."""
    return base_image(docker_client)
