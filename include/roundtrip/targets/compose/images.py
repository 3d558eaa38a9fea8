"""Images: pulled by digest, and only when the engine does not have them, so that a rollback needs no registry.

What is there under a digest, the engine has verified against it as it came; that it is this version of this service, its
labels say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from roundtrip.errors import TargetError
from roundtrip.plan.deployment import Placement
from roundtrip.targets.compose.engine import asking, meaning
from roundtrip.targets.compose.overlay import REVISION, TITLE

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image


def reference(registry: str, p: Placement) -> str:
    """Its name by digest."""
    return f"{registry}/{p.service}@{p.bundle}"


def verified(client: DockerClient, registry: str, p: Placement) -> Image:
    """The image of a placement, in the engine. Raises ArtefactError, TargetError, HostError."""
    name = reference(registry, p)
    image = _found(client, name) or _pulled(client, registry, p)
    has = (image.labels.get(TITLE), image.labels.get(REVISION))
    if has != (p.service, p.version):
        raise TargetError(
            f"the bundle is {has[0]} {has[1]}, expected {p.service} {p.version}",
            where=name,
            remedy="deploy the image of this version",
        )
    return image


def _found(client: DockerClient, name: str) -> Image | None:
    from docker.errors import ImageNotFound

    with asking(name):
        try:
            return client.images.get(name)
        except ImageNotFound:
            return None


def _pulled(client: DockerClient, registry: str, p: Placement) -> Image:
    name = reference(registry, p)
    with asking(name):
        pulling = client.api.pull(f"{registry}/{p.service}", tag=p.bundle, stream=True, decode=True)
        # The engine answers 200 before it begins; what went wrong after that is in what it says.
        failed = [line["error"] for line in pulling if "error" in line]
        if failed:
            raise meaning(failed[0], name)
        return client.images.get(name)
