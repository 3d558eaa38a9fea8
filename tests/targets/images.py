"""The fixture service as images in a real registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from roundtrip.targets.compose.overlay import REVISION, SECTION, TITLE
from tests.containers.registry import Registry
from tests.targets.place import HERE, flipped_byte

COMMON = "roundtrip-test-fixture"
COMMON_DOCKERFILE = """\
FROM {base}
ENV DELIVERIES=/tmp
WORKDIR /app
COPY . ./
USER 10001
HEALTHCHECK CMD ["python3", "-S", "-E", "healthy.py"]
CMD ["python3", "main.py"]
"""
DOCKERFILE = f"FROM {COMMON}\nCOPY . ./\n"
HEALTHY = """\
import os, socket, sys
with socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 2) as asking:
    asking.sendall(b"GET /healthz HTTP/1.0\\r\\n\\r\\n")
    sys.exit(b" 200 " not in asking.recv(64))
"""


@dataclass
class Images:
    """Images of the fixture service, built in an engine and pushed."""

    client: docker.DockerClient
    registry: Registry
    base: str
    folder: Path
    refused: str = r"is not what its digest says: .* for digest sha256:[0-9a-f]+"

    def __post_init__(self) -> None:
        """What all of them have in common is built once."""
        source = self._source(COMMON, COMMON_DOCKERFILE.format(base=self.base))
        shutil.copy(HERE / "fixture_service.py", source / "main.py")
        (source / "healthy.py").write_text(HEALTHY)
        self.client.images.build(path=str(source), tag=COMMON, rm=True)

    def pack(
        self, service: str, version: str, fault: str = "", section: Mapping[str, Any] | None = None
    ) -> str:
        """`section` is of the platform's Compose file, which its image carries."""
        source = self._source(f"{service}-{version}-{fault}", DOCKERFILE)
        (source / "bundle.json").write_text(json.dumps({"service": service, "version": version}))
        if fault:
            (source / fault).touch()
        tag = f"{version}{fault}{'-with-section' if section else ''}"
        labels = {TITLE: service, REVISION: version, SECTION: json.dumps(section or {})}
        self.client.images.build(path=str(source), tag=f"{self._name(service)}:{tag}", rm=True, labels=labels)
        return self._push(service, tag)

    def offered(self, service: str, digest: str) -> str:
        self._image(digest).tag(self._name(service), tag="offered")
        return self._push(service, "offered")

    @contextmanager
    def flipped(self, digest: str) -> Iterator[None]:
        """The layer that only this image has; the engine has to ask the registry for it."""
        self.client.images.remove(self._image(digest).id, force=True)
        manifest = json.loads(self.registry.blob(digest).read_text())
        with flipped_byte(self.registry.blob(manifest["layers"][-1]["digest"])):
            yield

    def _source(self, name: str, dockerfile: str) -> Path:
        source = self.folder / name
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        (source / "Dockerfile").write_text(dockerfile)
        return source

    def _name(self, service: str) -> str:
        return f"{self.registry.address}/{service}"

    def _push(self, service: str, tag: str) -> str:
        name = self._name(service)
        said = list(self.client.images.push(name, tag=tag, stream=True, decode=True))
        digests = [line["aux"]["Digest"] for line in said if "aux" in line]
        assert len(digests) == 1, said
        return str(digests[0])

    def _image(self, digest: str) -> docker.models.images.Image:
        found = [
            image
            for image in self.client.images.list()
            if any(reference.endswith(digest) for reference in image.attrs["RepoDigests"])
        ]
        assert len(found) == 1, digest
        return found[0]
