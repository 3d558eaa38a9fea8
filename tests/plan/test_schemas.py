"""The published JSON Schemas are those of the models, and the plans and environments here follow them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan

INCLUDE = Path(__file__).resolve().parents[2] / "include"
FILES = [
    *(("plan", path) for path in sorted((INCLUDE / "plans").glob("*.yaml"))),
    *(("environment", path) for path in sorted((INCLUDE / "environments").glob("*.yaml"))),
]


def published(name: str) -> dict[str, Any]:
    return json.loads((INCLUDE / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "model"), [("plan", Plan), ("environment", Environment)])
def test_what_is_published_is_the_models_schema(name: str, model: Any) -> None:
    assert published(name) == model.model_json_schema()


@pytest.mark.parametrize(("name", "path"), FILES, ids=[path.stem for _, path in FILES])
def test_every_file_here_follows_its_schema(name: str, path: Path) -> None:
    data = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    jsonschema.validate(data, published(name))


def test_an_unknown_key_does_not_follow_the_schema() -> None:
    data = YAML(typ="safe").load(FILES[0][1].read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError, match="'surprise' was unexpected"):
        jsonschema.validate({**data, "surprise": 1}, published("plan"))
