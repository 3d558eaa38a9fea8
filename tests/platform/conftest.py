"""Both versions of the platform as a release finds them: laid into git by the code that a release uses, and checked out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from roundtrip.forge.checkouts import checkout
from roundtrip.forge.git import Git
from roundtrip.forge.laying import PLATFORM, lay_platform
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Service
from roundtrip.toolchain.projects import Toolchain

PLAN = load_plan(PLATFORM.parent / "plans" / "top_tier_trading_1_1_0.yaml")
VERSIONS = (PLAN.from_version, PLAN.to_version)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare repository with 1.0.0 on main and 1.1.0 on the working branch."""
    remote = tmp_path_factory.mktemp("platform") / "remote.git"
    lay_platform(remote, PLAN)
    return remote


@pytest.fixture(scope="session")
def trees(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The files of each version. Only read: a test that writes takes a copy."""
    names = PLAN.repository
    heads = (f"{names.tag_prefix}{PLAN.from_version}", names.working_branch)
    git, folder = Git(repository), tmp_path_factory.mktemp("trees")
    commits = [git.text("rev-parse", f"{head}^{{commit}}") for head in heads]
    return {
        version: checkout(git, commit, folder / version)
        for version, commit in zip(VERSIONS, commits, strict=True)
    }


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tree(trees: Mapping[str, Path], version: str) -> Path:
    return trees[version]


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    return Toolchain(tmp_path_factory.mktemp("tools"), PLAN.checklist.node_major, print)


def replicas(service: Service, version: str) -> int:
    return service.replicas.stable if version == PLAN.from_version else service.replicas.new


def variables(service: Service, version: str) -> list[str]:
    """What the plan says that the service reads in this version."""
    stable = service.environment_stable if version == PLAN.from_version else None
    return service.environment if stable is None else stable


def required(service: Service, version: str) -> set[str]:
    return {name for name in variables(service, version) if PLAN.variables[name].required}


SECRETS = {name for name, variable in PLAN.variables.items() if variable.secret} | {"REDIS_PASSWORD"}
"""The plan's, and the one that only Compose's own Redis has."""


def documents(file: Path) -> Iterator[Any]:
    yield from YAML(typ="safe").load_all(file.read_text(encoding="utf-8"))
