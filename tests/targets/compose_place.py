"""A place of the compose target, in a real Docker Engine with a real registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import docker
import pytest

from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.compose.target import ComposeTarget
from tests.containers.registry import Registry
from tests.containers.servers import redis_image, traefik_image
from tests.targets.images import Images
from tests.targets.place import Place, environment

HEALTHY_LIMIT_SECONDS = 10
"""An engine asks for a container's health once a second, with a process of its own."""


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory,
    engine_address: str,
    docker_client: docker.DockerClient,
    registry_server: Registry,
    base_image_name: str,
) -> Iterator[Place]:
    """An environment of the compose target that is up."""
    folder = tmp_path_factory.mktemp("compose")
    settings = ComposeTargetSettings(
        kind="compose",
        engine=engine_address,
        registry=registry_server.address,
        traefik_image=traefik_image(docker_client, base_image_name, folder),
        redis_image=redis_image(docker_client, base_image_name, folder),
    )
    packing = Images(docker_client, registry_server, base_image_name, folder / "packing")
    made = Place(
        Home(folder / "home"),
        packing,
        compose,
        environment(settings),
        healthy_limit_seconds=HEALTHY_LIMIT_SECONDS,
    )
    target = made.target()
    assert isinstance(target, ComposeTarget)
    target.infrastructure.up()
    try:
        yield made
    finally:
        target.infrastructure.remove()


def compose(environment: Environment, plan: Plan, home: Home, secrets: Mapping[str, str]) -> ComposeTarget:
    return ComposeTarget(
        environment, plan, home, lambda _: secrets, healthy_limit_seconds=HEALTHY_LIMIT_SECONDS
    )
