"""Images into the registry, which names them by the digest that they are deployed by."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from roundtrip.errors import TargetError
from roundtrip.targets.compose.engine import asking, meaning

if TYPE_CHECKING:
    from docker import DockerClient

ID_LETTERS = 12


def publish(client: DockerClient, file: Path, identity: str, repository: str) -> str:
    """The file of a canonical image into `repository` (registry and name); its digest there.

    Its tag is of its id, so that it never comes to stand for another one; a version's tag is given when the version is released.
    Again is nothing new: the registry has it. Raises TargetError, HostError, ArtefactError.
    """
    tag = f"build-{identity.removeprefix('sha256:')[:ID_LETTERS]}"
    name = f"{repository}:{tag}"
    with asking(name):
        with file.open("rb") as content:
            client.images.load(content)
        client.api.tag(identity, repository, tag=tag)
        said = list(client.api.push(repository, tag=tag, stream=True, decode=True))
    if failed := [str(line["error"]) for line in said if "error" in line]:
        raise meaning(failed[0], name)
    digests = [str(line["aux"]["Digest"]) for line in said if "Digest" in line.get("aux", {})]
    if len(digests) != 1:
        raise TargetError(
            "the registry has not said under which digest it keeps it",
            where=name,
            remedy="see the registry's log, then publish again",
        )
    return digests[0]
