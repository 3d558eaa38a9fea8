"""The Docker Engine, and what its errors mean: where it does not do what is asked, the reason is one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from roundtrip.errors import ArtefactError, HostError, RoundtripError, TargetError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.errors import APIError

LIMIT_SECONDS = 60
"""for one answer of the engine"""
NOT_AS_RECORDED = (
    "verification failed",
    "digest mismatch",
    "does not match",
    "unexpected EOF",
    "invalid checksum",
)
"""in what the engine says of content that is not what its digest says"""
NOT_THERE = ("manifest unknown", "not found", "no such image")
REFUSED = ("unauthorized", "denied", "no basic auth credentials")
UNREACHABLE = ("connection refused", "no such host", "i/o timeout", "deadline exceeded", "tls:")
TAKEN = ("port is already allocated", "address already in use")
FULL = ("no space left",)


def connect(address: str) -> DockerClient:
    """The engine at `address` (`unix://…`, `tcp://…`). Raises HostError when none answers."""
    from docker import DockerClient

    with asking(address):
        client = DockerClient(base_url=address, timeout=LIMIT_SECONDS)
        client.ping()
    return client


@contextmanager
def asking(where: str) -> Iterator[None]:
    """Within, what the engine refuses is an error of ours, about `where`. Raises HostError, TargetError, ArtefactError."""
    import requests
    from docker.errors import APIError, DockerException

    try:
        yield
    except APIError as error:
        raise _refused(error, where) from error
    except (DockerException, requests.RequestException) as error:
        raise HostError(
            f"the Docker Engine does not answer: {error}",
            where=where,
            remedy="is it running, and may this user reach its socket? `docker version` tells",
        ) from error


def _refused(error: APIError, where: str) -> RoundtripError:
    return meaning(str(error.explanation or error), where)


def meaning(said: str, where: str) -> RoundtripError:
    """The error of ours that says what the engine, its registry or Compose said."""
    small = said.lower()

    def has(words: tuple[str, ...]) -> bool:
        return any(word.lower() in small for word in words)

    if has(NOT_AS_RECORDED):
        return ArtefactError(
            f"is not what its digest says: {said}",
            where=where,
            remedy="publish the image again; it is not deployed",
        )
    if has(FULL):
        return HostError(
            f"no space is left: {said}", where=where, remedy="`docker system df` tells what takes it"
        )
    if has(TAKEN):
        return TargetError(
            f"a port is taken: {said}", where=where, remedy="converge again: another one is chosen"
        )
    if has(REFUSED):
        return TargetError(
            f"the registry refuses: {said}", where=where, remedy="`docker login` on the engine's machine"
        )
    if has(UNREACHABLE):
        return TargetError(
            f"the registry does not answer: {said}", where=where, remedy="start it, then try again"
        )
    if has(NOT_THERE):
        return TargetError(f"is not there: {said}", where=where, remedy="publish the release again")
    return TargetError(f"the Docker Engine refuses: {said}", where=where, remedy="see the engine's log")
