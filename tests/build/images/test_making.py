"""The build section's images, by a real engine and a real registry: built, built again, published, listed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from roundtrip.build.artefacts import artefacts
from roundtrip.build.images.making import (
    build_image,
    make_stable_images,
    reproduce_image,
    write_images,
)
from roundtrip.errors import ArtefactError, BuildError, PlanError, PromotionError, TargetError
from roundtrip.plan.environment import ComposeTargetSettings, ImageBuild, image_settings
from roundtrip.release import Release
from roundtrip.rollout.deploying import built
from roundtrip.targets.compose.overlay import REVISION, SECTION, TITLE
from tests.build.platform import Platform, make_platform
from tests.containers.fixtures import *  # noqa: F403
from tests.containers.fixtures import ContainerParts

COMPOSE = """\
services:
  redis: {image: redis}
  web: {build: web, environment: {PORT: "8000"}, stop_grace_period: 7s}
  worker: {build: {context: worker, args: {OF: compose}}, env_file: conf/secrets.env}
"""
DOCKERFILE = """\
ARG BASE=docker.io/library/python:3.11
FROM ${BASE}
ARG OF=nothing
WORKDIR /app
COPY . ./
RUN python3 -c "open('of', 'w').write('${OF}')"
USER 10001
HEALTHCHECK CMD ["python3", "-c", "print()"]
CMD ["python3", "-c", "print(open('of').read())"]
"""
BY_CHANCE = DOCKERFILE.replace("'${OF}'", "__import__('uuid').uuid4().hex")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    made = make_platform(tmp_path)
    for version in ("base", "upgrade-1.1.0"):
        (made.source / version / "docker-compose.yml").write_text(COMPOSE)
        for service in ("web", "worker"):
            (made.source / version / service / "Dockerfile").write_text(DOCKERFILE)
    return made


def into(
    release: Release, parts: ContainerParts | None = None, *, base: str | None = None, registry: str = ""
) -> Release:
    """The same release into environments of images."""
    settings = ComposeTargetSettings(
        kind="compose",
        engine=parts.engine_address if parts else "unix:///nowhere",
        registry=registry or (parts.registry.address if parts else "127.0.0.1:1"),
        build=ImageBuild(arguments={s: {"BASE": base} for s in ("web", "worker")} if base else {}),
    )
    environments = {
        stage: place.model_copy(update={"target": settings}) for stage, place in release.environments.items()
    }
    return replace(release, environments=environments)


@pytest.fixture
def release(platform: Platform, container_parts: ContainerParts) -> Release:
    platform.lay()
    return into(platform.release(), container_parts, base=container_parts.base)


def test_every_service_is_built_twice_published_and_listed(
    release: Release, docker_client: docker.DockerClient
) -> None:
    for service in ("web", "worker"):
        build_image(release, service)
        reproduce_image(release, service)
    write_images(release, artefacts(release))
    events = {e.data["service"]: e.data for e in release.ledger.events("r1", kind="build.image")}
    listed = json.loads((artefacts(release) / "images.json").read_text())
    digests = {service: data["digest"] for service, data in events.items()}
    assert listed == {"version": "1.1.0", "images": digests}
    assert digests == built(release, "production")
    for service, data in events.items():
        image = docker_client.images.pull(data["name"], tag=data["digest"])
        assert image.id == data["id"]
        assert (image.labels[TITLE], image.labels[REVISION]) == (service, "1.1.0")
        assert release.ledger.last("r1", "build.image_reproduced", service).data["same"] is True
    section = docker_client.images.get(events["web"]["id"]).labels[SECTION]
    assert json.loads(section)["stop_grace_period"] == "7s"
    ran = docker_client.containers.run(events["worker"]["id"], network_mode="none", remove=True)
    assert ran == b"compose\n", "the file's own arguments count"
    assert not list(release.folder.glob("build/images/*/[!.]*")), "nothing of it is left on this machine"


def test_a_step_that_runs_again_changes_nothing(release: Release) -> None:
    build_image(release, "web")
    again = release.ledger.events("r1")
    build_image(release, "web")
    reproduce_image(release, "web")
    reproduce_image(release, "web")
    build_image(release, "web")
    assert [e.kind for e in release.ledger.events("r1")[len(again) :]] == ["build.image_reproduced"]


def test_an_image_that_is_another_each_time_ends_the_release(
    platform: Platform, container_parts: ContainerParts
) -> None:
    (platform.source / "upgrade-1.1.0" / "web" / "Dockerfile").write_text(BY_CHANCE)
    platform.lay()
    release = into(platform.release(), container_parts, base=container_parts.base)
    build_image(release, "web")
    with pytest.raises(
        BuildError, match=r"the image of web: built twice, 1 things differ: app/of in layer \d"
    ):
        reproduce_image(release, "web")
    assert release.ledger.last("r1", "build.image_reproduced", "web").data["same"] is False
    with pytest.raises(BuildError, match="built twice"):
        reproduce_image(release, "web")


def test_the_stable_versions_images_are_made_of_its_tag(
    platform: Platform, release: Release, docker_client: docker.DockerClient, tmp_path: Path
) -> None:
    settings = image_settings(release.environments)
    assert settings is not None
    folder = tmp_path / "stable"
    folder.mkdir()
    make_stable_images(platform.plan, platform.home.repository, "refs/tags/v1.0.0", folder, settings)
    listed = json.loads((folder / "images.json").read_text())
    assert listed["version"] == "1.0.0"
    assert listed["images"].keys() == {"web"}, "the stable version has no worker"
    image = docker_client.images.pull(f"{settings.registry}/web", tag=listed["images"]["web"])
    assert image.labels[REVISION] == "1.0.0"
    assert [path.name for path in folder.iterdir()] == ["images.json"]


def test_a_service_that_the_platforms_file_does_not_build_is_named(
    platform: Platform, release: Release
) -> None:
    (platform.source / "upgrade-1.1.0" / "docker-compose.yml").write_text(
        COMPOSE.replace("worker:", "others:")
    )
    platform.lay()
    release = replace(platform.release("r2"), environments=release.environments)
    with pytest.raises(
        BuildError, match=r"expected a service 'worker' with a build, got .*others.*docker-compose"
    ):
        build_image(release, "worker")
    assert release.ledger.last("r2", "build.image") is None


def test_a_registry_that_does_not_answer_leaves_nothing_in_the_ledger(
    platform: Platform, container_parts: ContainerParts
) -> None:
    platform.lay()
    release = into(platform.release(), container_parts, base=container_parts.base, registry="127.0.0.1:1")
    with pytest.raises(TargetError, match="the registry does not answer"):
        build_image(release, "web")
    assert release.ledger.last("r1", "build.image") is None


def test_a_release_to_processes_has_no_images(platform: Platform) -> None:
    platform.lay()
    release = platform.release()
    build_image(release, "web")
    reproduce_image(release, "web")
    write_images(release, artefacts(release))
    assert [e.kind for e in release.ledger.events("r1")] == ["candidate.chosen"]
    assert not list(artefacts(release).iterdir())


def test_what_was_not_built_is_neither_listed_nor_built_again(platform: Platform) -> None:
    release = into(platform.release(commit="0" * 40))
    with pytest.raises(ArtefactError, match=r"no image of web 1\.1\.0 was built by this release"):
        write_images(release, artefacts(release))
    with pytest.raises(PromotionError, match="the image of web was not built"):
        reproduce_image(release, "web")


def test_environments_of_two_registries_are_refused(platform: Platform) -> None:
    release = platform.release(commit="0" * 40)
    one, other = into(release), into(release, registry="127.0.0.1:2")
    with pytest.raises(PlanError, match="expected one engine, registry and build"):
        image_settings(
            {"staging": one.environments["staging"], "production": other.environments["production"]}
        )
