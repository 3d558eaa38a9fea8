"""Dockerfiles: by hadolint, which has a parser of its own, and what the platform's README and the plan say of them.

No image is built here: that is the checklist's item 2.8, where an environment has a container engine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from tests.platform.conftest import PLAN, SECRETS

SERVICES = sorted(PLAN.services)
NODE_18 = {("1.0.0", "api")}
"""ops-ui is on 20 in both versions: its README says why."""


def parsed(file: Path) -> list[tuple[str, str]]:
    """(instruction, value), in order."""
    with file.open("rb") as opened:
        structure = DockerfileParser(fileobj=opened).structure
    return [(part["instruction"], part["value"]) for part in structure if part["instruction"] != "COMMENT"]


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def file(tree: Path, service: str) -> Path:
    return tree / PLAN.services[service].path / "Dockerfile"


def hadolint(file: Path) -> list[str]:
    """What it finds, `line: rule: message`."""
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    command = [program, "--no-color", "--no-fail", "--format", "json", file]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [f"{found['line']}: {found['code']}: {found['message']}" for found in json.loads(done.stdout)]


def test_hadolint_finds_nothing(file: Path) -> None:
    assert hadolint(file) == []


def test_hadolint_would_find_a_name_for_a_user_and_an_instruction_that_there_is_not(tmp_path: Path) -> None:
    bent = tmp_path / "Dockerfile"
    bent.write_text("FROM docker.io/library/node:20-slim\nUSER node\n")
    assert any("DL3066" in found for found in hadolint(bent))
    bent.write_text("FROM docker.io/library/node:20-slim\nUSR 1000\n")
    assert any("DL1000" in found for found in hadolint(bent))


def test_the_base_is_an_argument_whose_default_is_the_usual_public_image(
    file: Path, service: str, version: str
) -> None:
    (first, base), *rest = parsed(file)
    assert first == "ARG"
    python = "docker.io/library/python:3.11-slim-bookworm"
    node = f"docker.io/library/node:{18 if (version, service) in NODE_18 else 20}-bookworm-slim"
    assert base == f"BASE={node if PLAN.services[service].toolchain == 'node' else python}"
    bases = [value for instruction, value in rest if instruction == "FROM"]
    assert bases == ["${BASE} AS build", "${BASE}"]


def test_it_runs_as_a_user_with_a_number_that_is_not_roots(file: Path) -> None:
    last_stage = parsed(file)
    last_stage = last_stage[max(i for i, part in enumerate(last_stage) if part[0] == "FROM") :]
    users = [value for instruction, value in last_stage if instruction == "USER"]
    # kubelet: "container has runAsNonRoot and image has non-numeric user"
    assert [user for user in users if re.fullmatch(r"[1-9]\d*", user)] == users != []
    assert [instruction for instruction, _ in last_stage].index("USER") < [i for i, _ in last_stage].index(
        "CMD"
    )


def test_no_secret_goes_into_the_image(file: Path) -> None:
    for instruction, value in parsed(file):
        if instruction in ("ARG", "ENV"):
            assert not SECRETS & set(re.findall(r"\w+", value)), value
            assert not re.search(r"(?i)token|secret|password|credential", value), value
    ignored = (file.parent / ".dockerignore").read_text(encoding="utf-8").split()
    assert "node_modules" in ignored or ".venv" in ignored


def test_it_starts_what_the_bundle_starts(file: Path, service: str) -> None:
    [command] = [json.loads(value) for instruction, value in parsed(file) if instruction == "CMD"]
    words = {"{python}": "/site/bin/python", "{node}": "node"}
    assert command == [words.get(word, word) for word in PLAN.services[service].bundle.run]
