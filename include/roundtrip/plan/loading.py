"""Reads plan and environment files, and reports all that is wrong with file, line and key before anything is touched.

Rules:
1. All problems of a file come in one `PlanError`, each as `file:line: key: problem`.
2. A key given twice is a problem; YAML that does not parse is a problem with its line.
3. Nothing is guessed: an unknown key is a problem, with the nearest known key when there is one.
4. A text that was read before is not parsed again; the plan of it is the same frozen value. A thousand gates of a plan have
   one, and a tenth of a second of a core each is saved.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError

from roundtrip.errors import PlanError
from roundtrip.plan.environment import Environment
from roundtrip.plan.model import Plan

Model = TypeVar("Model", bound=BaseModel)

TEXTS_KEPT = 64
"""plans and environments; the oldest is forgotten"""


def load_plan(path: Path) -> Plan:
    """The plan in `path`. Raises PlanError with every problem of the file."""
    return _load(path, Plan)


def load_environment(path: Path) -> Environment:
    """The environment in `path`. Raises PlanError with every problem of the file."""
    return _load(path, Environment)


def digest(part: BaseModel) -> str:
    """sha256 of a plan or environment in its canonical form: what the ledger binds a release to."""
    return "sha256:" + hashlib.sha256(part.model_dump_json().encode()).hexdigest()


def _load(path: Path, model: type[Model]) -> Model:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PlanError(
            f"cannot be read: {error.strerror}", where=str(path), remedy="check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise PlanError(
            f"is not UTF-8: {error.reason}", where=str(path), remedy="save it as UTF-8"
        ) from error
    return cast(Model, _read(path, text, model))


@lru_cache(maxsize=TEXTS_KEPT)
def _read(path: Path, text: str, model: type[BaseModel]) -> BaseModel:
    document = _parse(path, text)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = [_problem(path, document, model, detail) for detail in error.errors()]
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise PlanError(
            f"{count}: " + " | ".join(problems),
            where=str(path),
            remedy="mend the keys named above, nothing was touched",
        ) from error


def _parse(path: Path, text: str) -> Any:
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = False
    try:
        document = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PlanError(
            f"is not YAML: {error.problem}",
            where=f"{path}:{line}",
            remedy="mend that line, nothing was touched",
        ) from error
    if not isinstance(document, CommentedMap):
        raise PlanError(
            "expected a mapping at the top", where=f"{path}:1", remedy="start from a file in include/plans"
        )
    return document


def _problem(path: Path, document: Any, model: type[BaseModel], detail: ErrorDetails) -> str:
    location = [part for part in detail["loc"] if not str(part).startswith("function-")]
    key = ".".join(str(part) for part in location) or "(top)"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = "unknown key" + _nearest(model, location)
    return f"{path.name}:{_line(document, location)}: {key}: {message}"


def _line(document: Any, location: Sequence[int | str]) -> int:
    """The line of the deepest part of `location` that the file has; a missing key is on its parent's line."""
    node, line = document, 1
    for part in location:
        if isinstance(node, CommentedMap) and part in node:
            line = node.lc.key(part)[0] + 1
            node = node[part]
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line = node.lc.item(part)[0] + 1
            node = node[part]
        else:
            break
    return int(line)


def _nearest(model: type[BaseModel], location: Sequence[int | str]) -> str:
    known = _all_keys(model.model_json_schema())
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def _all_keys(schema: dict[str, Any]) -> list[str]:
    parts = [schema, *schema.get("$defs", {}).values()]
    return sorted({key for part in parts for key in part.get("properties", {})})
