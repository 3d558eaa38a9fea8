"""A place of the compose target, in a real Docker Engine with a real registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.plan.environment import ComposeTargetSettings, Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.targets.compose.target import ComposeTarget
from tests.containers.fixtures import ContainerParts
from tests.containers.servers import redis_image, traefik_image
from tests.targets.images import Images
from tests.targets.place import Place, environment

HEALTHY_LIMIT_SECONDS = 10
"""A container's health is asked for by a process of its own."""


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory, container_parts: ContainerParts) -> Iterator[Place]:
    """An environment of the compose target that is up."""
    with standing_compose(tmp_path_factory.mktemp("compose"), container_parts) as made:
        yield made


@contextmanager
def standing_compose(folder: Path, parts: ContainerParts, **changes: object) -> Iterator[Place]:
    """A place of the compose target that is up; `changes` to its fields."""
    settings = ComposeTargetSettings(
        kind="compose",
        engine=parts.engine_address,
        registry=parts.registry.address,
        traefik_image=traefik_image(parts.client, parts.base, folder),
        redis_image=redis_image(parts.client, parts.base, folder),
    )
    packing = Images(parts.client, parts.registry, parts.base, folder / "packing")
    made = Place(
        Home(folder / "home"),
        packing,
        compose,
        environment(settings),
        healthy_limit_seconds=HEALTHY_LIMIT_SECONDS,
    )
    made = replace(made, **changes)
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
