"""The filter before the engine's socket lets through what a release needs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from roundtrip.checklist.consuming import Consumer, consumed
from roundtrip.targets.compose.engine import connect
from tests.containers import engine_proxy
from tests.containers.engine_proxy import Answer, ask
from tests.containers.fixtures import *  # noqa: F403
from tests.containers.fixtures import ContainerParts
from tests.targets.compose_place import standing_compose

pytestmark = pytest.mark.integration

IMAGE = "127.0.0.1:5000/api@sha256:" + "0" * 64
NEEDED = [
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", "/info"),
    ("GET", "/containers/json"),
    ("GET", "/containers/none/json"),
    ("GET", "/containers/none/logs?stdout=1"),
    ("POST", "/containers/create"),
    ("POST", "/containers/none/start"),
    ("POST", "/containers/none/stop"),
    ("POST", "/containers/none/kill"),
    ("POST", "/containers/none/wait"),
    ("POST", "/containers/none/rename?name=other"),
    ("POST", "/containers/none/exec"),
    ("POST", "/exec/0123/start"),
    ("GET", "/exec/0123/json"),
    ("DELETE", "/containers/none"),
    ("GET", "/volumes"),
    ("GET", "/networks"),
    ("GET", "/networks/none"),
    ("POST", "/networks/create"),
    ("DELETE", "/networks/none"),
    ("POST", "/build"),
    ("POST", "/images/create?fromImage=127.0.0.1:1/none"),
    ("POST", "/images/load"),
    ("GET", f"/images/{IMAGE}/json"),
    ("GET", f"/images/{IMAGE.replace('@', '%40')}/json"),
    ("GET", "/images/none/get"),
    ("POST", "/images/none/tag?repo=other"),
    ("POST", "/images/127.0.0.1:1/none/push"),
    ("DELETE", "/images/none"),
]
REFUSED = [
    ("GET", "/containers/none/archive?path=/"),
    ("PUT", "/containers/none/archive?path=/"),
    ("GET", "/containers/none/export"),
    ("POST", "/containers/none/attach"),
    ("POST", "/containers/none/update"),
    ("GET", "/containers/none/top"),
    ("POST", "/containers/prune"),
    ("POST", "/commit?container=none"),
    ("POST", "/images/prune"),
    ("POST", "/build/prune"),
    ("POST", "/networks/prune"),
    ("POST", "/networks/none/connect"),
    ("GET", "/volumes/none"),
    ("POST", "/volumes/create"),
    ("DELETE", "/volumes/none"),
    ("GET", "/events"),
    ("GET", "/system/df"),
    ("POST", "/swarm/init"),
    ("GET", "/secrets"),
    ("GET", "/configs"),
    ("POST", "/services/create"),
    ("GET", "/nodes"),
    ("POST", "/plugins/pull"),
    ("POST", "/auth"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("PATCH", "/containers/none"),
    ("GET", "/containers/../system/df"),
    ("GET", "/images/a/../../system/df"),
    ("GET", "/images/a/%2e%2e/%2e%2e/system/df"),
    ("GET", "/v1.41//system/df"),
    ("GET", "//system/df"),
    ("GET", "/v1.41/v1.41/system/df"),
]
GIVES_RIGHTS = [
    '{"HostConfig": {"Privileged": true}}',
    '{"hostconfig": {"privileged":true}}',
    '{"HostConfig": {"\\u0050rivileged": true}}',
    '{"HostConfig": {"PidMode": "host"}}',
    '{"HostConfig": {"NetworkMode": "host"}}',
    '{"HostConfig": {"NetworkMode": "container:other"}}',
    '{"HostConfig": {"Networ\u212aMode": "host"}}',
    '{"HostConfig": {"Networ\\u212aMode": "host"}}',
    '{"HostConfig": {"IpcMode": "host", "UsernsMode": "host"}}',
    '{"HostConfig": {"CapAdd": ["SYS_ADMIN"]}}',
    '{"HostConfig": {"Devices": [{"PathOnHost": "/dev/sda"}]}}',
    '{"HostConfig": {"VolumesFrom": ["other"]}}',
    '{"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}}',
    '{"Env": ["' + "x" * 61_000 + '"], "HostConfig": {"Privileged": true}}',
]
REFUSES = (
    'FROM {base}\nHEALTHCHECK CMD ["python3", "-c", "1"]\nCMD ["python3", "-c", "exit(\'NAME is wrong\')"]\n'
)
BY_THE_FILTER = Answer(403, is_of_the_engine=False)


@pytest.fixture(scope="module")
def filtered(engine_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := engine_proxy.why_none():
        pytest.skip(reason)
    log = tmp_path_factory.mktemp("filter") / "haproxy.log"
    with engine_proxy.engine_proxy(engine_address, log) as address:
        yield address


@pytest.mark.parametrize("version", ["", "/v1.41"])
@pytest.mark.parametrize(("method", "path"), NEEDED)
def test_what_is_needed_reaches_the_engine(filtered: str, method: str, path: str, version: str) -> None:
    body = "{}" if method == "POST" else None
    assert ask(filtered, method, version + path, body).is_of_the_engine


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_all_else_is_refused(filtered: str, method: str, path: str) -> None:
    assert ask(filtered, method, path) == BY_THE_FILTER
    assert ask(filtered, method, f"/v1.41{path}") == BY_THE_FILTER


@pytest.mark.parametrize("body", GIVES_RIGHTS)
def test_a_container_that_is_made_gets_no_rights_that_others_have_not(filtered: str, body: str) -> None:
    assert ask(filtered, "POST", "/v1.41/containers/create", body) == BY_THE_FILTER
    assert ask(filtered, "POST", "/containers/none/exec", body) == BY_THE_FILTER


def test_a_body_whose_end_cannot_be_known_is_refused(filtered: str) -> None:
    chunked = {"Transfer-Encoding": "chunked"}
    body = '{"Image": "none"}'
    sent = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n"
    assert ask(filtered, "POST", "/containers/create", sent, chunked) == BY_THE_FILTER


def test_an_environment_stands_and_changes_its_version_behind_the_filter(
    filtered: str, container_parts: ContainerParts, tmp_path: Path
) -> None:
    with standing_compose(tmp_path, replace(container_parts, engine_address=filtered)) as place:
        place.converge(place.whole("1.0.0"))
        assert place.converge(place.whole("1.1.0")).versions() == ("1.1.0",)


def test_an_image_is_asked_for_its_variables_behind_the_filter(
    filtered: str, base_image_name: str, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(REFUSES.format(base=base_image_name))
    with closing(connect(filtered)) as client:
        image, _ = client.images.build(path=str(tmp_path), rm=True)
        [finding] = consumed(client, Consumer("api", image.id, {"NAME": "Größe"}, ["NAME"]))
    assert finding.what == "api: with every variable it ends with 1 and speaks of NAME"
