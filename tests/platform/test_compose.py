"""The platform's docker-compose.yml, read by the real Compose. No engine is needed for that, so no image is built here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from tests.platform.conftest import PLAN, SECRETS, replicas, required

ENV_FILES = {PLAN.from_version: ".env", PLAN.to_version: "conf/secrets.env"}
"""where `.env.example` says that its copy goes"""


def compose(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = Path(sysconfig.get_path("scripts")) / "docker-compose"
    return subprocess.run(
        [program, "-f", folder / "docker-compose.yml", "config", "--format", "json", *options],
        env={"PATH": os.defpath, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def filled_in(tree: Path, version: str, tmp_path: Path) -> Path:
    """A checkout whose copy of `.env.example` has a value for every variable."""
    folder = tmp_path / "platform"
    shutil.copytree(tree, folder)
    example = dotenv_values(tree / ".env.example")
    lines = [f"{name}={value or f'planted-{name}'}\n" for name, value in example.items()]
    (folder / ENV_FILES[version]).write_text("".join(lines))
    return folder


def services(folder: Path, *options: str) -> dict[str, Any]:
    done = compose(folder, *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_every_service_of_the_plan_is_there_with_its_replicas_and_redis(
    filled_in: Path, version: str
) -> None:
    found = services(filled_in)
    assert set(found) == {*PLAN.services, "redis"}
    for name, service in PLAN.services.items():
        assert found[name].get("deploy", {}).get("replicas", 1) == replicas(service, version), name


def test_every_service_is_built_from_a_folder_and_a_dockerfile_that_are_there(filled_in: Path) -> None:
    for name, found in services(filled_in).items():
        if name != "redis":
            context = Path(found["build"]["context"])
            assert context == filled_in / PLAN.services[name].path
            assert (context / found["build"]["dockerfile"]).is_file()


def test_every_service_gets_the_variables_that_it_needs(filled_in: Path, version: str) -> None:
    for name, found in services(filled_in).items():
        if name != "redis":
            needed = required(PLAN.services[name], version) | {"HOST", "PORT"}
            assert needed <= set(found["environment"]), name


def test_secrets_come_by_env_file_since_1_1_0(trees: Mapping[str, Path]) -> None:
    found = services(trees[PLAN.to_version], "--no-env-resolution")
    place = str(trees[PLAN.to_version] / ENV_FILES[PLAN.to_version])
    assert {name: [file["path"] for file in service["env_file"]] for name, service in found.items()} == {
        name: [place] for name in found
    }


def test_without_the_copy_it_does_not_start_and_says_what_is_missing(tree: Path) -> None:
    done = compose(tree)
    assert done.returncode != 0
    assert "secrets.env not found" in done.stderr or "is missing a value" in done.stderr, done.stderr


def test_no_secret_stands_in_the_file_or_in_an_argument(filled_in: Path) -> None:
    for name, found in services(filled_in, "--no-interpolate", "--no-env-resolution").items():
        for variable, value in (found.get("environment") or {}).items():
            assert variable not in SECRETS or value.startswith("${"), f"{name}: {variable}"
    for name, found in services(filled_in).items():
        arguments = json.dumps([found.get("command"), found.get("entrypoint"), found.get("healthcheck")])
        assert "planted-" not in arguments, name


def test_the_redis_takes_its_password_and_shows_it_to_no_other_process(
    filled_in: Path, tmp_path: Path
) -> None:
    """Its command is run as it is, by a shell, with a program in Redis' place that shows what it is given."""
    program = tmp_path / "redis-server"
    program.write_text('#!/bin/sh\necho "arguments: $*"\nexec cat\n')
    program.chmod(0o755)
    command = [part.replace("$$", "$") for part in services(filled_in)["redis"]["command"]]
    env = {"PATH": f"{tmp_path}:{os.defpath}", "REDIS_PASSWORD": "planted-x9"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    arguments, *settings = done.stdout.splitlines()
    assert arguments == "arguments: - --appendonly yes --appendfsync always"
    assert settings == ['requirepass "planted-x9"']


def test_the_services_wait_for_a_healthy_redis_and_only_loopback_is_published(filled_in: Path) -> None:
    found = services(filled_in)
    assert "healthcheck" in found["redis"]
    for name in PLAN.services:
        assert found[name]["depends_on"]["redis"]["condition"] == "service_healthy"
    ports = [port for service in found.values() for port in service.get("ports", [])]
    assert ports
    assert all(port["host_ip"] == "127.0.0.1" for port in ports)
