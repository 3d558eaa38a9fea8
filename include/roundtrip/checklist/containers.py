"""Plan 2.8: the containers build and take their configuration from the environment.

Rules:
1. Without a container engine the item is not checked, and says so plainly; the dossier repeats it.
2. With one, Compose really builds the images of the release branch; the platform's own file is laid over, never edited.
3. Where the release goes to images, each is run with its variables, and without each that it needs (`consuming`).
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.checklist.consuming import Consumer, consumed
from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.source import checkout, toolchain
from roundtrip.errors import BuildError
from roundtrip.plan.environment import ComposeTargetSettings, image_settings
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.targets.compose.engine import connect
from roundtrip.targets.programs import brought
from roundtrip.toolchain.commands import environment, run

BUILD_SECONDS = 1200.0
NO_ENGINE = "container builds were not checked: the environment has no container engine"
NO_VALUES = "variables: not checked, the release goes to no environment of images"
PROJECT = "roundtrip-checked"
FILE = "docker-compose.yml"
RUN_AT_ONCE = 2
_ENGINE_VARIABLES = (
    "DOCKER_HOST",
    "DOCKER_CONFIG",
    "DOCKER_BUILDKIT",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
)


def containers(release: Release) -> Inspection:
    """Plan 2.8: docker compose build, and variables consumed."""
    if not any(place.container_engine for place in release.environments.values()):
        return Inspection(not_checked=NO_ENGINE)
    settings = image_settings(release.environments)
    source = checkout(release)
    _fill_in_example(source)
    commands = _commands(release, source, settings)
    try:
        for command in commands:
            run(command, source, _variables(settings), toolchain(release).log, timeout_seconds=BUILD_SECONDS)
    except BuildError as error:
        return Inspection((Finding(error.what, FILE, error.remedy),), _facts(commands))
    if settings is None:
        return Inspection((), {**_facts(commands), "variables": NO_VALUES})
    consumers = _consumers(release)
    with (
        closing(connect(settings.engine)) as client,
        ThreadPoolExecutor(RUN_AT_ONCE, thread_name_prefix="consuming") as pool,
    ):
        found = [one for each in pool.map(partial(consumed, client), consumers) for one in each]
    runs = {of.service: list(of.required) for of in consumers}
    return Inspection(tuple(found), {**_facts(commands), "refused_without": runs})


def _commands(release: Release, source: Path, settings: ComposeTargetSettings | None) -> list[list[str]]:
    compose = [str(brought("docker-compose")), f"--project-name={PROJECT}", f"--file={FILE}"]
    if settings is not None:
        laid_over = source.parent / "checked.yaml"
        durable.write_json(laid_over, _overlay(release.plan, settings))  # any JSON is YAML
        compose.append(f"--file={laid_over}")
    return [[*compose, "config", "--quiet"], [*compose, "build"]]


def _overlay(plan: Plan, settings: ComposeTargetSettings) -> dict[str, Any]:
    """How the environment builds, and a name for what is built."""
    network = {"network": settings.build.network} if settings.build.network else {}
    return {
        "services": {
            service: {
                "image": _image(service),
                "build": {"args": settings.build.arguments.get(service, {}), **network},
            }
            for service in plan.services
        }
    }


def _variables(settings: ComposeTargetSettings | None) -> dict[str, str]:
    """Of Compose itself: which engine."""
    given = {name: os.environ[name] for name in _ENGINE_VARIABLES if name in os.environ}
    return environment([], {**given, "DOCKER_HOST": settings.engine} if settings else given)


def _consumers(release: Release) -> list[Consumer]:
    plan = release.plan
    given = release.target("staging").variables(plan.to_version)
    return [
        Consumer(
            name,
            _image(name),
            given[name],
            [variable for variable in service.environment if plan.variables[variable].required],
        )
        for name, service in plan.services.items()
    ]


def _image(service: str) -> str:
    return f"{PROJECT}/{service}"


def _facts(commands: list[list[str]]) -> dict[str, Any]:
    return {"commands": [f"docker compose {' '.join(command[1:])}" for command in commands]}


def _fill_in_example(source: Path) -> None:
    """Plan 2.3: copy .env.example to conf/secrets.env, which env_file names; images take no value of it."""
    example, target = source / ".env.example", source / "conf" / "secrets.env"
    if example.is_file() and not target.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(example, target)
