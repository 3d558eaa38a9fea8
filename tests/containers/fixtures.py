"""The real parts as fixtures of a session: `from tests.containers.fixtures import *  # noqa: F403`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import docker
import pytest

from tests.containers import engine, registry
from tests.containers.base import base_image
from tests.containers.registry import Registry

__all__ = ["base_image_name", "container_parts", "docker_client", "engine_address", "registry_server"]


@dataclass(frozen=True)
class ContainerParts:
    """All that an environment of containers needs."""

    engine_address: str
    client: docker.DockerClient
    registry: Registry
    base: str
    """name of an image with `python3` and `sh`"""


@pytest.fixture(scope="session")
def engine_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of an engine that only this session uses, `unix://...`."""
    if reason := engine.why_none():
        pytest.skip(reason)
    with engine.engine(tmp_path_factory.mktemp("engine")) as address:
        yield address


@pytest.fixture(scope="session")
def docker_client(engine_address: str) -> Iterator[docker.DockerClient]:
    with closing(docker.DockerClient(base_url=engine_address)) as client:
        yield client


@pytest.fixture(scope="session")
def registry_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that only this session uses, at first empty."""
    if reason := registry.why_none():
        pytest.skip(reason)
    with registry.registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture(scope="session")
def base_image_name(docker_client: docker.DockerClient) -> str:
    """Of an image with `python3` and `sh`, which the session's engine has."""
    return base_image(docker_client)


@pytest.fixture(scope="session")
def container_parts(
    engine_address: str, docker_client: docker.DockerClient, registry_server: Registry, base_image_name: str
) -> ContainerParts:
    return ContainerParts(engine_address, docker_client, registry_server, base_image_name)
