"""A machine for the platform in containers: an engine, a registry, and images that stand in for the public ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from tests.containers import engine, registry
from tests.containers.base import base_image
from tests.containers.bases import node_base, python_base
from tests.containers.registry import Registry
from tests.containers.servers import redis_image, traefik_image


@dataclass(frozen=True)
class Host:
    """It is there."""

    engine: str
    """its address"""
    registry: Registry
    target: Mapping[str, Any]
    """what an environment's `target` says beside its kind, to be here"""


def why_none() -> str | None:
    """Why none can be had here; None if one can."""
    return engine.why_none() or registry.why_none()


@contextmanager
def host(folder: Path, *, comes_back: bool = False) -> Iterator[Host]:
    """What was published is kept in `folder`, and is there again the next time; the engine begins with nothing.

    `comes_back`: see `engine`.
    """
    for name in ("engine", "images"):
        shutil.rmtree(folder / name, ignore_errors=True)  # of one that was killed
        (folder / name).mkdir(parents=True)
    (folder / "registry").mkdir(exist_ok=True)
    with (
        engine.engine(folder / "engine", comes_back=comes_back) as address,
        registry.registry(folder / "registry") as published,
    ):
        with closing(docker.DockerClient(base_url=address)) as client:
            target = {
                "engine": address,
                "registry": published.address,
                **images_of(client, folder / "images"),
            }
        yield Host(address, published, target)


def images_of(client: docker.DockerClient, folder: Path) -> dict[str, Any]:
    """Stand-ins for public images, made in the engine with files below `folder`, as an environment's `target` names them."""
    base, node, python = base_image(client), node_base(client), python_base(client)
    return {
        "traefik_image": traefik_image(client, base, folder),
        "redis_image": redis_image(client, base, folder),
        "build": {
            "network": "host",
            "arguments": {
                "api": {"BASE": node},
                "ops-ui": {"BASE": node},
                "workers": {"BASE": python},
                "backtester": {"BASE": python},
            },
        },
    }
