"""Where GitHub is, is said in production's environment, without a credential in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.errors import PlanError
from roundtrip.plan.environment import Environment
from roundtrip.plan.loading import load_environment

PLACE = """\
name: somewhere
stage: {stage}
target: {{kind: local}}
secrets_connection: a
signing_connection: b
github: {{repository: top-tier/trading, connection: github{more}}}
"""


def load(folder: Path, stage: str = "production", more: str = "") -> Environment:
    file = folder / "somewhere.yaml"
    file.write_text(PLACE.format(stage=stage, more=more))
    return load_environment(file)


def test_a_repository_and_a_connection_are_enough(tmp_path: Path) -> None:
    github = load(tmp_path).github
    assert github is not None
    assert (github.repository, github.api, github.actor) == (
        "top-tier/trading",
        "https://api.github.com",
        None,
    )


@pytest.mark.parametrize(
    ("stage", "more", "says"),
    [
        ("staging", "", r"somewhere\.yaml:6: github: belongs to production's environment"),
        (
            "production",
            ", api: 'http://github.example'",
            r"somewhere\.yaml:6: github\.api: String should match",
        ),
        ("production", ", api: 'https://me:secret@github.example'", r"github\.api: String should match"),
        (
            "production",
            ", git: 'https://me:secret@github.example/x.git'",
            r"github\.git: String should match",
        ),
        ("production", ", actor: {kind: Everybody, id: 1}", r"github\.actor\.kind: Input should be"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, stage: str, more: str, says: str) -> None:
    with pytest.raises(PlanError, match=says):
        load(tmp_path, stage, more)
