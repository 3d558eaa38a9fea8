"""A Dockerfile built by a real engine, pushed to a real registry: twice the same, or refused."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import docker
import pytest

from roundtrip.build.images.building import ImageRecipe, build
from roundtrip.build.images.canonical import differences, read
from roundtrip.build.images.publishing import publish
from roundtrip.errors import ArtefactError, BuildError, HostError, TargetError
from tests.containers.fixtures import *  # noqa: F403
from tests.containers.registry import Registry

EPOCH = 1_700_000_000
DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS build
WORKDIR /made
COPY main.py ./
RUN python3 -c "open('made.txt', 'w').write('built')"
FROM ${BASE}
WORKDIR /app
COPY --from=build /made ./
USER 10001
HEALTHCHECK CMD ["python3", "-c", "print()"]
CMD ["python3", "main.py"]
"""


class Source:
    """A service's folder, made anew for each build, as a checkout is."""

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self.base = base
        self.said: list[str] = []

    def recipe(self, name: str, dockerfile: str = DOCKERFILE, **files: str) -> ImageRecipe:
        context = self.folder / name
        context.mkdir()
        for file, text in {"Dockerfile": dockerfile, "main.py": "print('hello')", **files}.items():
            (context / file).write_text(text, encoding="utf-8")
            os.utime(context / file, (EPOCH + len(name) * 1000.5, EPOCH + len(name) * 1000.5))
        labels = {"org.opencontainers.image.title": "fixture", "org.opencontainers.image.version": "1.1.0"}
        return ImageRecipe(
            "fixture", "1.1.0", context, "Dockerfile", None, {"BASE": self.base}, labels, EPOCH
        )


@pytest.fixture
def source(tmp_path: Path, base_image_name: str) -> Source:
    return Source(tmp_path, base_image_name)


@pytest.fixture
def client(docker_client: docker.DockerClient) -> docker.DockerClient:
    return docker_client


def test_built_twice_in_other_folders_it_is_the_same(
    client: docker.DockerClient, source: Source, tmp_path: Path
) -> None:
    first = build(client, source.recipe("first"), tmp_path / "1.tar", source.said.append)
    there = {image["Id"] for image in client.api.images(all=True)}
    again = build(client, source.recipe("another"), tmp_path / "2.tar", source.said.append, fresh=True)
    assert first == again
    assert differences(tmp_path / "1.tar", tmp_path / "2.tar") == []
    assert {image["Id"] for image in client.api.images(all=True)} == there, (
        "the second one has left something"
    )
    assert client.images.get(source.base), "the base is still there"
    assert any("COPY main.py" in line for line in source.said)


def test_what_a_clock_or_chance_gets_into_it_is_named(
    client: docker.DockerClient, source: Source, tmp_path: Path
) -> None:
    chance = DOCKERFILE.replace("write('built')", "write(__import__('uuid').uuid4().hex)")
    for name in ("first", "second"):
        build(client, source.recipe(name, chance), tmp_path / f"{name}.tar", source.said.append, fresh=True)
    [found] = differences(tmp_path / "first.tar", tmp_path / "second.tar")
    assert found.startswith("app/made.txt in layer ")


def test_it_shares_its_base_and_carries_its_labels(
    client: docker.DockerClient, source: Source, tmp_path: Path
) -> None:
    build(client, source.recipe("one"), tmp_path / "1.tar", source.said.append)
    config = read(tmp_path / "1.tar").config
    base = client.images.get(source.base).attrs["RootFS"]["Layers"]
    assert len(config["rootfs"]["diff_ids"]) > len(base)
    assert config["config"]["Labels"]["org.opencontainers.image.title"] == "fixture"
    assert config["created"] == "2023-11-14T22:13:20Z"


def test_published_it_has_one_digest_and_runs_from_it(
    client: docker.DockerClient, source: Source, tmp_path: Path, registry_server: Registry
) -> None:
    identity = build(client, source.recipe("one"), tmp_path / "1.tar", source.said.append)
    repository = f"{registry_server.address}/fixture"
    digests = {publish(client, tmp_path / "1.tar", identity, repository) for _ in range(2)}
    assert len(digests) == 1
    [digest] = digests
    manifest = json.loads(registry_server.blob(digest).read_text(encoding="utf-8"))
    assert manifest["config"]["digest"] == identity
    client.images.remove(identity, force=True)
    client.api.pull(repository, tag=digest)
    assert client.images.get(f"{repository}@{digest}").id == identity
    ran = client.containers.run(f"{repository}@{digest}", network_mode="none", remove=True)
    assert ran == b"hello\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"USER 10001\n": ""}, "it runs as root"),
        ({"USER 10001": "USER 0:0"}, "it runs as root"),
        ({'HEALTHCHECK CMD ["python3", "-c", "print()"]': ""}, "has no health check"),
        ({"WORKDIR /app": "WORK /app"}, "unknown instruction: WORK.*/one/Dockerfile"),
        ({"COPY main.py": "COPY nowhere.py"}, "nowhere.py"),
        (
            {"RUN python3": "RUN python3 -c 'print(\"why it failed\"); raise SystemExit(3)' #"},
            "why it failed",
        ),
        ({"ARG BASE": "ARG BASE=localhost:1/none"}, "pull|localhost:1"),
    ],
)
def test_what_could_not_be_run_is_refused_with_the_reason(
    client: docker.DockerClient, source: Source, tmp_path: Path, change: Mapping[str, str], said: str
) -> None:
    dockerfile = DOCKERFILE
    for text, instead in change.items():
        dockerfile = dockerfile.replace(text, instead)
    of = source.recipe("one", dockerfile)
    if "localhost" in dockerfile:
        of = ImageRecipe(**{**vars(of), "arguments": {}})
    with pytest.raises((BuildError, ArtefactError), match=said):
        build(client, of, tmp_path / "1.tar", source.said.append)


def test_a_registry_that_is_not_there_is_said(
    client: docker.DockerClient, source: Source, tmp_path: Path
) -> None:
    identity = build(client, source.recipe("one"), tmp_path / "1.tar", source.said.append)
    with pytest.raises(TargetError, match="the registry does not answer"):
        publish(client, tmp_path / "1.tar", identity, "127.0.0.1:1/fixture")


def test_an_engine_that_is_not_there_is_said(source: Source, tmp_path: Path) -> None:
    nobody = docker.DockerClient(base_url=f"unix://{tmp_path}/none.sock", version="1.41")
    with pytest.raises(HostError, match="the Docker Engine does not answer"):
        build(nobody, source.recipe("one"), tmp_path / "1.tar", source.said.append)
