"""The Docker Engine, and what its errors mean: where it does not do what is asked, the reason is one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from roundtrip.errors import ArtefactError, HostError, RoundtripError, TargetError

if TYPE_CHECKING:
    from docker import DockerClient

LIMIT_SECONDS = 60
"""for one answer of the engine"""


@dataclass(frozen=True)
class Meaning:
    """What it means when the engine, its registry or Compose says one of these words."""

    words: tuple[str, ...]
    """in small letters"""
    kind: type[RoundtripError]
    what: str
    remedy: str


MEANINGS = (
    Meaning(
        ("verification failed", "digest mismatch", "does not match", "unexpected eof", "invalid checksum"),
        ArtefactError,
        "is not what its digest says",
        "publish the image again; it is not deployed",
    ),
    Meaning(("no space left",), HostError, "no space is left", "`docker system df` tells what takes it"),
    Meaning(
        ("port is already allocated", "address already in use"),
        TargetError,
        "a port is taken",
        "converge again: another one is chosen",
    ),
    Meaning(
        ("unauthorized", "denied", "no basic auth credentials"),
        TargetError,
        "the registry refuses",
        "`docker login` on the engine's machine",
    ),
    Meaning(
        ("connection refused", "no such host", "i/o timeout", "deadline exceeded", "tls:"),
        TargetError,
        "the registry does not answer",
        "start it, then try again",
    ),
    Meaning(
        ("manifest unknown", "not found", "no such image"),
        TargetError,
        "is not there",
        "publish the release again",
    ),
    Meaning(("",), TargetError, "the Docker Engine refuses", "see the engine's log"),
)
"""The first that fits; the last one always does."""


def connect(address: str) -> DockerClient:
    """The engine at `address` (`unix://…`). Raises HostError when none answers."""
    from docker import DockerClient

    with asking(address):
        client = DockerClient(base_url=address, timeout=LIMIT_SECONDS)
        client.ping()
    return client


@contextmanager
def asking(where: str) -> Iterator[None]:
    """Within, what the engine refuses is an error of ours, about `where`. Raises HostError, TargetError, ArtefactError."""
    import requests
    from docker.errors import APIError, DockerException, ImageLoadError

    try:
        yield
    except APIError as error:
        raise meaning(str(error.explanation or error), where) from error
    except ImageLoadError as error:
        raise meaning(str(error), where) from error
    except (DockerException, requests.RequestException) as error:
        raise HostError(
            f"the Docker Engine does not answer: {error}",
            where=where,
            remedy="is it running, and may this user reach its socket? `docker version` tells",
        ) from error


def meaning(said: str, where: str) -> RoundtripError:
    """The error of ours that says what the engine, its registry or Compose said."""
    small = said.lower()
    found = next(m for m in MEANINGS if any(word in small for word in m.words))
    return found.kind(f"{found.what}: {said}", where=where, remedy=found.remedy)
