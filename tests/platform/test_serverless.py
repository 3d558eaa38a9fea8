"""serverless/: its configuration by the framework's own types, its built handler by an event as API Gateway sends it.

The framework itself is not installed: with the AWS clients that it brings it is larger than all else here, and what it does
beyond this needs an account.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from ruamel.yaml import YAML

from roundtrip.toolchain.projects import Toolchain
from tests.platform.conftest import PLAN, SECRETS, required

TYPES = Path(__file__).parent / "serverless_types"
"""An npm project of `@serverless/typescript`, made from the framework's schema, and the compiler."""
INVOKE = """\
const { handler } = require(process.argv[1]);
handler(require(process.argv[2]), { functionName: "api", awsRequestId: "1" }).then((answer) => {
  process.stdout.write("\\nANSWER " + JSON.stringify({ status: answer.statusCode, body: JSON.parse(answer.body) }) + "\\n");
  process.exit(0);
});
"""


@pytest.fixture(scope="module")
def project(trees: Mapping[str, Path]) -> Path:
    return trees[PLAN.to_version] / PLAN.undeployed["serverless"].path


@pytest.fixture
def configuration(project: Path) -> Any:
    """serverless.yml, with the defaults that the framework puts in where no option is given."""
    text = (project / "serverless.yml").read_text(encoding="utf-8")
    filled_in = re.sub(r"\$\{opt:\w+, '([^']*)'\}", r"\1", text)
    assert filled_in != text
    return YAML(typ="safe").load(filled_in)


@pytest.fixture(scope="module")
def complaints(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], str]:
    """What the compiler says of a configuration as a value of the framework's type; empty when it fits."""
    folder = tmp_path_factory.mktemp("types") / "project"
    shutil.copytree(TYPES, folder)
    env = tools.dependencies(folder, "node")

    def compile_(configuration: Any) -> str:
        value = json.dumps(configuration)
        text = f'import type {{ AWS }} from "@serverless/typescript";\nexport const it: AWS = {value};\n'
        (folder / "configuration.ts").write_text(text, encoding="utf-8")
        command = ["tsc", "--noEmit", "--strict", "--skipLibCheck", "configuration.ts"]
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False
        ).stdout

    return compile_


@pytest.mark.integration
def test_the_configuration_is_of_the_frameworks_type(
    configuration: Any, complaints: Callable[[Any], str]
) -> None:
    assert complaints(configuration) == ""
    assert configuration["provider"]["runtime"] == "nodejs20.x"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("part", "change"),
    [
        (("provider",), {"runtime": "nodejs19.x"}),
        (("provider",), {"timeout": "soon"}),
        (("functions", "api"), {"handlr": "dist/handler.handler"}),
        (("functions", "api", "events", 0, "httpApi"), {"pth": "/api"}),
    ],
    ids=["runtime", "type", "key", "event"],
)
def test_a_configuration_that_is_wrong_would_be_found(
    configuration: Any, complaints: Callable[[Any], str], part: tuple[Any, ...], change: dict[str, Any]
) -> None:
    bent = configuration
    for key in part:
        bent = bent[key]
    bent.update(change)
    [key] = change
    assert "error TS" in complaints(configuration), key


def test_the_function_gets_the_variables_that_the_api_needs_and_no_secret_in_the_open(
    configuration: Any,
) -> None:
    variables = configuration["provider"]["environment"]
    assert required(PLAN.services["api"], PLAN.to_version) <= set(variables)
    for name in SECRETS & set(variables):
        assert variables[name].startswith("${ssm:"), name


def test_the_stable_version_has_none(trees: Mapping[str, Path]) -> None:
    assert not (trees[PLAN.from_version] / "serverless").exists()


@pytest.fixture
def built(configuration: Any, trees: Mapping[str, Path], tmp_path: Path, tools: Toolchain) -> Path:
    """A folder with what the plan's build commands make for the Lambda, alone as there, and an event."""
    shutil.copytree(trees[PLAN.to_version], tmp_path / "platform")
    project = tmp_path / "platform" / PLAN.undeployed["serverless"].path
    tools.dependencies(tmp_path / "platform" / PLAN.services["api"].path, "node")
    env = tools.dependencies(project, "node")
    for command in PLAN.undeployed["serverless"].build:
        tools.run(command, project, env)
    file, _, exported = configuration["functions"]["api"]["handler"].rpartition(".")
    assert exported == "handler"
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy2(project / f"{file}.js", alone / "handler.js")
    shutil.copy2(project / "tests" / "order-event.json", alone)
    return alone


@pytest.mark.integration
def test_an_order_in_an_api_gateway_event_reaches_the_workers_stream_through_the_built_handler(
    built: Path, tools: Toolchain, redis_server: str, redis_client: redis.Redis
) -> None:
    variables = {
        "DEPLOY_ENV": "test",
        "REDIS_URL": f"{redis_server}/9",
        "BACKTESTER_URL": "http://127.0.0.1:1",
    }
    done = subprocess.run(
        [tools.node.program, "-e", INVOKE, built / "handler.js", built / "order-event.json"],
        env={"PATH": os.defpath, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [answer] = re.findall(r"^ANSWER (.*)$", done.stdout, re.MULTILINE)
    order_id = "6f1b5c1e-2f52-4f0e-9d0a-0d3c1a2b3c4d"
    assert json.loads(answer) == {"status": 202, "body": {"order_id": order_id, "status": "accepted"}}
    [(_, fields)] = redis_client.xrange("orders")
    assert fields[b"order_id"].decode() == order_id
