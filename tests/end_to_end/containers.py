"""What the end-to-end tests need of a machine to run in containers: an engine and a registry of their own, and images that
stand in for the public ones. The product is a copy whose environments name them; nothing else of it differs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docker
import pytest
from ruamel.yaml import YAML

from roundtrip.commands.prepare import ROOT, STAGES
from tests.containers import engine, registry
from tests.containers.base import base_image
from tests.containers.bases import node_base, python_base
from tests.containers.servers import redis_image, traefik_image
from tests.end_to_end.machine import Product

COPIED = ("dags", "plugins", "include")


@contextmanager
def product_of_containers(home: Path) -> Iterator[Product]:
    """The product with environments of an engine that is there for as long. Skips where none can be had."""
    if reason := engine.why_none() or registry.why_none():
        pytest.skip(reason)
    # The engine of an earlier run took its images and containers with it; its registry, what was published.
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    with (
        TemporaryDirectory(dir=home) as scratch,
        engine.engine(_folder(scratch, "engine")) as address,
        registry.registry(_folder(scratch, "registry")) as images,
        closing(docker.DockerClient(base_url=address)) as client,
    ):
        base, node, python = base_image(client), node_base(client), python_base(client)
        target = {
            "engine": address,
            "registry": images.address,
            "traefik_image": traefik_image(client, base, Path(scratch)),
            "redis_image": redis_image(client, base, Path(scratch)),
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
        checkout = home / "product"
        for name in COPIED:
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        for stage in STAGES:
            _bend(checkout / "include" / "environments" / f"compose_{stage}.yaml", target)
        yield Product(
            command=(sys.executable, "-m", "roundtrip.commands"),
            variables={"PYTHONPATH": str(checkout / "include")},
            environments=checkout / "include" / "environments",
            kind="compose",
        )


def _folder(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    return folder


def _bend(file: Path, target: dict[str, Any]) -> None:
    yaml = YAML()
    environment = yaml.load(file)
    environment["target"].update(target)
    yaml.dump(environment, file)
