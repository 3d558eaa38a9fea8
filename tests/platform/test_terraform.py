"""terraform/ by a real parser of its language, and what refers to what.

Terraform itself and the schema of its AWS provider are not to be had here. So it is not checked that a resource has the
arguments that AWS asks for and no others, that their types fit, that functions are called rightly, or what a plan would do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest
from hcl2.utils import SerializationOptions
from lark import UnexpectedInput

from tests.platform.conftest import PLAN, SECRETS, required

PLAIN = SerializationOptions(with_comments=False, explicit_blocks=False, strip_string_quotes=True)
Module = dict[str, list[dict[str, Any]]]


def load(text: str) -> dict[str, Any]:
    found: dict[str, Any] = hcl2.loads(text, serialization_options=PLAIN)
    return found


@pytest.fixture(scope="module")
def module(trees: Mapping[str, Path]) -> Module:
    """The blocks of all files, by kind."""
    blocks: Module = {}
    for file in sorted((trees[PLAN.to_version] / "terraform").glob("*.tf")):
        for kind, found in load(file.read_text(encoding="utf-8")).items():
            blocks.setdefault(kind, []).extend(found)
    return blocks


def names(blocks: list[dict[str, Any]]) -> list[str]:
    return [name for block in blocks for name in block]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from texts(part)


def test_the_stable_version_has_none(trees: Mapping[str, Path]) -> None:
    assert not (trees[PLAN.from_version] / "terraform").exists()


def test_it_is_made_of_blocks_that_a_module_has(module: Module) -> None:
    assert set(module) == {"terraform", "variable", "resource", "output"}


def test_text_that_is_not_of_the_language_would_be_found() -> None:
    with pytest.raises(UnexpectedInput):
        load('resource "aws_ecs_service" "workers" {\n  name = \n}\n')


def test_every_variable_is_declared_once_described_typed_and_used(module: Module) -> None:
    declared = names(module["variable"])
    assert len(declared) == len(set(declared))
    used = {name for text in texts(module) for name in re.findall(r"\bvar\.(\w+)", text)}
    assert used == set(declared)
    for block in module["variable"]:
        [settings] = block.values()
        assert {"description", "type"} <= set(settings)


def test_every_reference_is_to_a_resource_of_the_module(module: Module) -> None:
    resources = {f"{kind}.{name}" for block in module["resource"] for kind, n in block.items() for name in n}
    referred = {ref for text in texts(module) for ref in re.findall(r"\b(aws_\w+\.\w+)\.\w+", text)}
    assert referred
    assert referred <= resources
    assert not any(re.search(r"\b(local|data|module)\.\w", text) for text in texts(module))


def test_every_resource_is_of_a_provider_that_is_asked_for_in_a_version(module: Module) -> None:
    [settings] = module["terraform"]
    [providers] = settings["required_providers"]
    assert {kind.partition("_")[0] for kind in names(module["resource"])} == set(providers)
    for provider in providers.values():
        assert provider["source"].startswith("hashicorp/")
        assert re.search(r"\d", provider["version"])


def test_the_workers_have_their_replicas_and_variables_and_no_secret_in_the_open(module: Module) -> None:
    variable = {name: settings for block in module["variable"] for name, settings in block.items()}
    workers = PLAN.services["workers"]
    assert variable["workers_replicas"]["default"] == workers.replicas.new
    [task] = [block["aws_ecs_task_definition"]["workers"] for block in module["resource"]
              if "aws_ecs_task_definition" in block]  # fmt: skip
    encoded = re.fullmatch(r"\$\{jsonencode\((.*)\)\}", task["container_definitions"], re.DOTALL)
    assert encoded
    [container] = load(f"containers = {encoded[1]}\n")["containers"]
    opened = {each["name"] for each in container["environment"]}
    secret = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert opened | set(secret) >= required(workers, PLAN.to_version) | {"HOST", "PORT"}
    assert not opened & SECRETS
    assert all("var.secrets_arn" in place for place in secret.values())
    assert variable["redis_auth_token"]["sensitive"] in (True, "true")
    assert "default" not in variable["redis_auth_token"]
