"""Plan 2.8: the containers build and take their configuration from the environment.

Rules:
1. Without a container engine the item is not checked, and says so plainly; the dossier repeats it.
2. With one, the images are really built from the release branch.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from roundtrip.checklist.finding import Finding, Inspection
from roundtrip.checklist.source import checkout, toolchain
from roundtrip.errors import BuildError
from roundtrip.release import Release
from roundtrip.toolchain.commands import environment, run

BUILD_SECONDS = 1200.0
NO_ENGINE = "container builds were not checked: the environment has no container engine"
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
    source = checkout(release)
    _fill_in_example(source)
    env = environment([], {name: os.environ[name] for name in _ENGINE_VARIABLES if name in os.environ})
    findings = []
    for arguments in (["config", "--quiet"], ["build"]):
        try:
            command = ["docker", "compose", *arguments]
            run(command, source, env, toolchain(release).log, timeout_seconds=BUILD_SECONDS)
        except BuildError as error:
            findings.append(Finding(error.what, "docker-compose.yml", error.remedy))
    return Inspection(tuple(findings), {"commands": ["docker compose config", "docker compose build"]})


def _fill_in_example(source: Path) -> None:
    """Plan 2.3: copy .env.example to conf/secrets.env, which env_file names; images take no value of it."""
    example, target = source / ".env.example", source / "conf" / "secrets.env"
    if example.is_file() and not target.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(example, target)
