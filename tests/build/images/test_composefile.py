"""The platform's own Compose file, as Compose reads it."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import pytest

from roundtrip.build.images.composefile import FILE, composed
from roundtrip.errors import BuildError

PLATFORM = """\
x-common: &common
  restart: unless-stopped
  env_file: conf/secrets.env
services:
  redis: {image: "redis:7"}
  workers:
    <<: *common
    build: workers
    environment: {REDIS_URL: "${REDIS_URL:?}"}
    deploy: {replicas: 3}
  api:
    <<: *common
    build: {context: ./api, dockerfile: deploy/Dockerfile, target: run, args: {NODE: 20}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / FILE).write_text(PLATFORM, encoding="utf-8")
    return tmp_path


def test_the_services_that_are_built_with_all_that_it_takes(folder: Path) -> None:
    found = composed(folder, print)
    assert set(found) == {"workers", "api"}
    assert (found["workers"].context, found["workers"].dockerfile) == (PurePosixPath("workers"), "Dockerfile")
    api = found["api"]
    assert (api.context, api.dockerfile, api.target) == (PurePosixPath("api"), "deploy/Dockerfile", "run")
    assert api.arguments == {"NODE": "20"}


def test_the_section_is_as_it_is_written_and_holds_no_value_of_a_variable(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "conf").mkdir()
    (folder / "conf" / "secrets.env").write_text("TOKEN=only-for-the-service\n", encoding="utf-8")
    monkeypatch.setenv("REDIS_URL", "redis://:only-for-the-service@redis")
    section = composed(folder, print)["workers"].section
    assert section["environment"] == {"REDIS_URL": "${REDIS_URL:?}"}
    assert section["restart"] == "unless-stopped"
    assert "build" not in section
    assert "only-for-the-service" not in json.dumps(section)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        ("../elsewhere", "expected a folder of the platform, got"),
        ("/etc", "expected a folder of the platform, got"),
        ("https://somewhere.example/platform.git", "expected a folder of the platform, got"),
        ("{context: api, ssh: [default]}", "ssh: a release would build something else"),
        ("{context: api, dockerfile_inline: FROM scratch}", "dockerfile_inline: a release would"),
    ],
)
def test_what_is_not_of_the_release_branch_alone_is_refused(tmp_path: Path, build: str, said: str) -> None:
    (tmp_path / FILE).write_text(f"services:\n  api:\n    build: {build}\n", encoding="utf-8")
    with pytest.raises(BuildError, match=said) as raised:
        composed(tmp_path, print)
    assert "services.api.build" in str(raised.value)


def test_a_file_that_compose_does_not_take_is_refused_with_what_compose_says(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("services:\n  api:\n    bild: api\n", encoding="utf-8")
    with pytest.raises(BuildError, match="bild"):
        composed(tmp_path, print)


def test_the_platforms_own_file_is_understood() -> None:
    for version in ("base", "upgrade-1.1.0"):
        folder = Path(__file__).parents[3] / "include" / "platform" / version
        assert set(composed(folder, print)) == {"api", "workers", "backtester", "ops-ui"}
