"""The fixture service as images in a real registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.containers.registry import Registry
from tests.targets.place import HERE, flipped_byte

DOCKERFILE = """\
FROM {base}
LABEL org.opencontainers.image.title={service} org.opencontainers.image.version={version}
ENV DELIVERIES=/tmp
WORKDIR /app
COPY . ./
USER 10001
HEALTHCHECK CMD ["python3", "-S", "-E", "healthy.py"]
CMD ["python3", "main.py"]
"""
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

    def pack(self, service: str, version: str, fault: str = "") -> str:
        source = self.folder / f"{service}-{version}-{fault}"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        shutil.copy(HERE / "fixture_service.py", source / "main.py")
        (source / "bundle.json").write_text(json.dumps({"service": service, "version": version}))
        (source / "healthy.py").write_text(HEALTHY)
        if fault:
            (source / fault).touch()
        text = DOCKERFILE.format(base=self.base, service=service, version=version)
        (source / "Dockerfile").write_text(text)
        name = f"{self.registry.address}/{service}"
        tag = f"{version}{fault}"
        self.client.images.build(path=str(source), tag=f"{name}:{tag}", rm=True)
        said = list(self.client.images.push(name, tag=tag, stream=True, decode=True))
        digests = [line["aux"]["Digest"] for line in said if "aux" in line]
        assert len(digests) == 1, said
        return str(digests[0])

    @contextmanager
    def flipped(self, digest: str) -> Iterator[None]:
        """The layer that only this image has; the engine has to ask the registry for it."""
        for image in self.client.images.list():
            if any(reference.endswith(digest) for reference in image.attrs["RepoDigests"]):
                self.client.images.remove(image.id, force=True)
        manifest = json.loads(self.registry.blob(digest).read_text())
        with flipped_byte(self.registry.blob(manifest["layers"][-1]["digest"])):
            yield
