"""`.env.example` by python-dotenv: exactly the variables that the version reads, and nothing that is a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from dotenv import dotenv_values

from roundtrip.forge.laying import PLATFORM
from tests.platform.conftest import PLAN, SECRETS, variables

BY_THE_MANIFESTS = {"HOST", "PORT"}
"""Each manifest says where its services listen."""
OF_NO_SERVICE = {"REDIS_PASSWORD", "FLAGS_FILE"}
"""The password of Compose's own Redis, and the file that a target fills in: not in the plan's `variables`."""


@pytest.fixture
def example(tree: Path) -> Mapping[str, str | None]:
    return dotenv_values(tree / ".env.example", interpolate=False)


def read_by(version: str) -> set[str]:
    """The variables of the platform's README that something reads in `version`."""
    text = (PLATFORM / "README.md").read_text(encoding="utf-8")
    table = text.split("| variable | read by | meaning |")[1].split("\n\n")[0]
    found = set()
    for row in table.splitlines()[2:]:
        _, named, readers, _ = (cell.strip() for cell in row.split("|", 3))
        since = [re.findall(r"\d+\.\d+\.\d+", reader) for reader in readers.split(",")]
        if any(not versions or version in versions for versions in since):
            found |= set(re.findall(r"`(\w+)`", named))
    return found


def test_it_has_exactly_the_variables_of_the_readme(example: Mapping[str, str | None], version: str) -> None:
    assert set(example) == read_by(version) - BY_THE_MANIFESTS


def test_it_has_exactly_the_variables_of_the_plan(example: Mapping[str, str | None], version: str) -> None:
    planned = {name for service in PLAN.services.values() for name in variables(service, version)}
    assert set(example) - OF_NO_SERVICE == planned


def test_secrets_are_empty_and_what_is_filled_in_is_well_formed(example: Mapping[str, str | None]) -> None:
    for name, value in example.items():
        assert value is not None, f"{name} has no ="
        assert not value or name not in SECRETS, name
        assert not value or re.fullmatch(PLAN.variables[name].pattern, value), name


def test_the_copy_is_never_committed(tree: Path) -> None:
    place = re.search(r"Copy to (\S+) and fill in", (tree / ".env.example").read_text(encoding="utf-8"))
    assert place
    assert place[1] in (tree / ".gitignore").read_text(encoding="utf-8").split()
