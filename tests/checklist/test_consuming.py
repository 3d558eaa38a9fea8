"""Images that take their variables as they should, and some that do not, run by a real engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from roundtrip.checklist.consuming import Consumer, consumed
from tests.containers.fixtures import *  # noqa: F403

NEEDS = ("DEPLOY_ENV", "REDIS_URL")
SERVICE = """\
import os, sys, time
for name in ("DEPLOY_ENV", "REDIS_URL"):
    if not os.environ.get(name):
        sys.exit(f"{name} is not set")
"""
RUNS = "time.sleep(600)\n"
DOCKERFILE = 'FROM {base}\nCOPY main.py /\nUSER 10001\nHEALTHCHECK CMD ["python3", "-c", "1"]\nCMD ["python3", "/main.py"]\n'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs without a variable is waited for until the limit."""
    monkeypatch.setattr("roundtrip.checklist.consuming.LIMIT_SECONDS", 6)


Service = Callable[[str], Consumer]


@pytest.fixture
def service(docker_client: docker.DockerClient, base_image_name: str, tmp_path: Path) -> Service:
    """A service that does what the program says."""

    def made(program: str) -> Consumer:
        (tmp_path / "main.py").write_text(program)
        (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(base=base_image_name))
        image, _ = docker_client.images.build(path=str(tmp_path), rm=True)
        given = {"DEPLOY_ENV": "staging", "REDIS_URL": "redis://:secret@nowhere:6379/0", "SENTRY_DSN": "x"}
        return Consumer("api", image.id, given, NEEDS)

    return made


def test_a_service_that_refuses_without_each_and_runs_with_all_is_right(
    docker_client: docker.DockerClient, service: Service
) -> None:
    before = {container.id for container in docker_client.containers.list(all=True)}
    assert consumed(docker_client, service(SERVICE + RUNS)) == []
    assert {container.id for container in docker_client.containers.list(all=True)} == before


def test_one_that_ends_for_another_reason_with_all_of_them_has_taken_them(
    docker_client: docker.DockerClient, service: Service
) -> None:
    assert consumed(docker_client, service(SERVICE + "sys.exit('no server answers at nowhere')\n")) == []


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (RUNS.replace("time.", "import time\ntime."), ["without DEPLOY_ENV it runs", "without REDIS_URL it runs"]),
        (SERVICE.replace("REDIS_URL", "DEPLOY_ENV") + RUNS, ["without REDIS_URL it runs"]),
        (
            SERVICE.replace("{name} is", "something is") + RUNS,
            [f"without {name} it ends with 1 and does not name it" for name in NEEDS],
        ),
        (SERVICE + "sys.exit('DEPLOY_ENV is none of test')\n", ["with every variable it ends with 1 and speaks of DEPLOY_ENV"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_and_no_value_is_told(
    docker_client: docker.DockerClient, service: Service, program: str, found: list[str]
) -> None:
    findings = consumed(docker_client, service(program))
    assert [finding.what for finding in findings] == [f"api: {what}" for what in found]
    assert "secret" not in str([finding.to_json() for finding in findings])


def test_one_that_ends_well_without_a_variable_is_found(
    docker_client: docker.DockerClient, service: Service
) -> None:
    of = service(SERVICE.replace("sys.exit(", "sys.exit(print(").replace('set")', 'set"))') + RUNS)
    findings = consumed(docker_client, replace(of, required=("REDIS_URL",)))
    assert [finding.what for finding in findings] == ["api: without REDIS_URL it ends with 0"]
