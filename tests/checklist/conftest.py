"""A tiny platform of one Node and one Python service, laid into git, and a release of it. A test bends it by files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from roundtrip.errors import SecretError
from roundtrip.forge.laying import lay_platform
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment
from roundtrip.plan.loading import load_plan
from roundtrip.plan.model import Plan
from roundtrip.release import Home, Release

TESTS = Path(__file__).parents[1]
PROJECTS = TESTS / "toolchain" / "fixtures"

COMPOSE = """\
services:
  web:
    env_file: conf/secrets.env
  worker:
    env_file: conf/secrets.env
    deploy:
      replicas: 3
"""
KUBERNETES = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: worker
spec:
  replicas: 3
  template:
    metadata:
      annotations:
        linkerd.io/inject: enabled
"""
NODE_TEST = """\
const fs = require("fs");
require("ms");
fs.mkdirSync("coverage", { recursive: true });
fs.writeFileSync("coverage/coverage-summary.json", JSON.stringify({ total: { lines: { pct: 91.5 } } }));
"""
PYTHON_TEST = """\
import json, pathlib, tiny, mypy_extensions
assert tiny.ANSWER == 43
pathlib.Path("coverage.json").write_text(json.dumps({"totals": {"percent_covered": 88.25}}))
"""


@dataclass
class World:
    """A release and what surrounds it; files of the change and secrets may be altered before `lay`."""

    release: Release
    source: Path
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def change(self) -> Path:
        return self.source / "upgrade-1.1.0"

    def lay(self) -> None:
        lay_platform(self.release.home.repository, self.release.plan, source=self.source)

    def write(self, path: str, text: str) -> None:
        file = self.change / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def item(self, name: str) -> Mapping[str, Any]:
        """The newest ledger entry of an item."""
        events = self.release.ledger.events(self.release.id, kind="checklist.item")
        return [event.data for event in events if event.data["item"] == name][-1]

    def stops(self, name: str) -> list[str]:
        return [f"{f['where']}: {f['what']}" for f in self.item(name)["findings"] if f["severity"] == "stop"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toolchain-cache")


@pytest.fixture
def plan() -> Plan:
    return load_plan(TESTS / "plan" / "fixtures" / "tiny.yaml")


@pytest.fixture
def world(tmp_path: Path, plan: Plan, cache: Path) -> World:
    """Everything as the plan says; `lay` was not called yet."""
    home = Home(tmp_path / "home")
    home.root.mkdir()
    home.cache.symlink_to(cache)
    secrets = {
        f"tiny_{stage}": {"REDIS_URL": f"redis://:{stage}-Kq7vX2mP@127.0.0.1:6379/0"} for stage in STAGES
    }
    release = Release(
        id="r1",
        plan=plan,
        environments={stage: environment(stage) for stage in STAGES},
        ledger=Ledger(home.ledger_url),
        home=home,
        secrets=_from(secrets),
        open_target=_no_target,
    )
    return World(release, _platform(tmp_path / "platform"), secrets)


STAGES = ("staging", "production")


def environment(stage: str, **changes: Any) -> Environment:
    return Environment.model_validate(
        {
            "name": f"tiny_{stage}",
            "stage": stage,
            "target": {"kind": "local"},
            "configuration": {"DEPLOY_ENV": stage},
            "secrets_connection": f"tiny_{stage}",
            "signing_connection": "tiny_signing",
            **changes,
        }
    )


def _from(secrets: Mapping[str, Mapping[str, str]]) -> Callable[[str], Mapping[str, str]]:
    def source(connection: str) -> Mapping[str, str]:
        if connection not in secrets:
            raise SecretError("no such connection", where=connection, remedy="create it")
        return secrets[connection]

    return source


def _no_target(_: Environment) -> Any:
    raise AssertionError("the checklist never touches a target")


def _platform(root: Path) -> Path:
    base, change = root / "base", root / "upgrade-1.1.0"
    for folder, name in ((base / "web", "node"), (base / "worker", "python")):
        shutil.copytree(PROJECTS / name, folder, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    (base / "web" / "lint.js").write_text('process.exit(require("fs").existsSync("bad.js") ? 1 : 0);\n')
    (base / "web" / "test.js").write_text(NODE_TEST)
    (base / "worker" / "measure.py").write_text(PYTHON_TEST)
    (base / "web" / "Dockerfile").write_text("FROM node:18-slim\n")
    for version, folder in (("1.0.0", base), ("1.1.0", change)):
        (folder / "web").mkdir(parents=True, exist_ok=True)
        (folder / "worker" / "src" / "tiny").mkdir(parents=True, exist_ok=True)
        manifest = json.loads((PROJECTS / "node" / "package.json").read_text())
        scripts = {**manifest["scripts"], "test": "node test.js"}
        (folder / "web" / "package.json").write_text(
            json.dumps({**manifest, "version": version, "scripts": scripts})
        )
        text = (PROJECTS / "python" / "pyproject.toml").read_text()
        (folder / "worker" / "pyproject.toml").write_text(
            text.replace('version = "1.1.0"', f'version = "{version}"')
        )
    (change / "worker" / "src" / "tiny" / "__init__.py").write_text("ANSWER = 43\n")
    (change / "web" / "Dockerfile").write_text("FROM node:20-slim\n")
    (change / "docker-compose.yml").write_text(COMPOSE)
    (change / "k8s").mkdir()
    (change / "k8s" / "deployment.yaml").write_text(KUBERNETES)
    (change / ".env.example").write_text("REDIS_URL=redis://:change-me@redis:6379/0\n")
    return root
