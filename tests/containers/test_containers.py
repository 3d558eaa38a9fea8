"""The real parts are real: what is built is pushed, pulled and run, and what was changed on the way is refused."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import ImageNotFound
from docker.models.images import Image

from tests.containers.fixtures import *  # noqa: F403
from tests.containers.registry import Registry
from tests.targets.place import flipped_byte

pytestmark = pytest.mark.integration

NOBODY = "65534"
DOCKERFILE = """
FROM {base}
COPY greeting /srv/greeting
RUN read line < /srv/greeting && echo "$line, built" > /srv/built
LABEL org.opencontainers.image.version=1.1.0
USER 65534
CMD ["sh", "-c", "read line < /srv/built && echo $line"]
"""

SERVER = """
import http.server
server = http.server.HTTPServer(("", 8000), http.server.SimpleHTTPRequestHandler)
print("listens", flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Pushed:
    """An image of this test's, in the engine and in the registry."""

    client: docker.DockerClient
    registry: Registry
    image: Image
    repository: str
    digest: str

    @property
    def reference(self) -> str:
        return f"{self.repository}@{self.digest}"

    @property
    def last_layer(self) -> Path:
        manifest = json.loads(self.registry.blob(self.digest).read_bytes())
        return self.registry.blob(manifest["layers"][-1]["digest"])

    def remove(self) -> None:
        """From the engine."""
        self.client.images.remove(self.image.id, force=True)
        with pytest.raises(ImageNotFound):
            self.client.images.get(self.image.id)

    def pull(self) -> list[str]:
        """By its digest; the errors. (`images.pull` of the library leaves them out.)"""
        return errors(self.client.api.pull(self.repository, tag=self.digest, stream=True, decode=True))


def errors(progress: Iterable[dict[str, str]]) -> list[str]:
    return [line["error"] for line in progress if "error" in line]


@pytest.fixture
def pushed(
    docker_client: docker.DockerClient,
    registry_server: Registry,
    base_image_name: str,
    tmp_path: Path,
) -> Pushed:
    """Each test's is another one, or the engine would know its layers."""
    (tmp_path / "greeting").write_text(f"hello from {tmp_path.name}\n")
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.format(base=base_image_name))
    repository = f"{registry_server.address}/{tmp_path.name}"
    image, _ = docker_client.images.build(path=str(tmp_path), tag=f"{repository}:1.1.0", rm=True)
    progress = list(docker_client.images.push(repository, tag="1.1.0", stream=True, decode=True))
    assert not errors(progress)
    digest = next(line["aux"]["Digest"] for line in progress if "aux" in line)
    return Pushed(docker_client, registry_server, image, repository, digest)


def test_a_container_runs_as_somebody_who_is_not_root(
    docker_client: docker.DockerClient, base_image_name: str
) -> None:
    program = (
        "import json, http.server, os, pathlib, ssl, threading, urllib.request\n"
        "pathlib.Path('/tmp/file').write_text('written')\n"
        "print(json.dumps([os.getuid(), pathlib.Path('/tmp/file').read_text(), os.access('/usr', os.W_OK)]))"
    )
    said = docker_client.containers.run(
        base_image_name, ["python3", "-c", program], user=NOBODY, remove=True, stderr=True
    )
    assert json.loads(said) == [65534, "written", False]


def test_containers_of_one_network_and_the_machine_reach_what_a_container_serves(
    docker_client: docker.DockerClient, base_image_name: str
) -> None:
    network = docker_client.networks.create("reached")
    server = docker_client.containers.run(
        base_image_name,
        ["python3", "-c", SERVER],
        name="server",
        user=NOBODY,
        network=network.name,
        ports={"8000/tcp": ("127.0.0.1", None)},
        detach=True,
    )
    next(line for line in server.logs(stream=True) if line == b"listens\n")
    server.reload()
    port = server.ports["8000/tcp"][0]["HostPort"]
    assert requests.get(f"http://127.0.0.1:{port}", timeout=10).status_code == 200
    asking = "import urllib.request; print(urllib.request.urlopen('http://server:8000', timeout=10).status)"
    said = docker_client.containers.run(
        base_image_name, ["python3", "-c", asking], network=network.name, remove=True
    )
    assert said == b"200\n"
    server.remove(force=True)
    network.remove()


def test_an_image_that_was_pushed_is_the_same_when_it_is_pulled_by_its_digest(
    pushed: Pushed, tmp_path: Path
) -> None:
    pushed.remove()
    assert pushed.pull() == []
    pulled = pushed.client.images.get(pushed.reference)
    assert pulled.id == pushed.image.id
    assert pulled.labels == {"org.opencontainers.image.version": "1.1.0"}
    said = pushed.client.containers.run(pushed.reference, remove=True)
    assert said.decode() == f"hello from {tmp_path.name}, built\n"


def test_an_image_is_refused_when_a_byte_of_a_layer_has_changed_in_the_registry(pushed: Pushed) -> None:
    pushed.remove()
    digest = f"sha256:{pushed.last_layer.parent.name}"
    with flipped_byte(pushed.last_layer):
        assert pushed.pull() == [f"filesystem layer verification failed for digest {digest}"]
        with pytest.raises(ImageNotFound):
            pushed.client.images.get(pushed.reference)
    assert pushed.pull() == []
