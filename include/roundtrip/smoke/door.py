"""An environment as a smoke test sees it: one address, the instances behind it, and its Redis.

Rules:
1. No request is repeated: what fails once has failed. Waiting is for effects, and bounded.
2. An answer other than the expected one is a SmokeError that says which.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import redis

from roundtrip.errors import SmokeError
from roundtrip.tls import trusted

REQUEST_LIMIT_SECONDS = 15.0
POLL_SECONDS = 0.1

Kill = Callable[[str], None]
"""Ends the instance at an address (host:port) by SIGKILL, and returns once that process is gone."""


@dataclass(frozen=True)
class Instance:
    """One running process of a service."""

    service: str
    version: str
    address: str
    """host:port"""


@dataclass(frozen=True)
class FrontDoor:
    """One environment, from outside."""

    front_door: str
    """address of the proxy, http://host:port"""
    version: str
    """the version that is tested"""
    scrape_file: Path
    """the instances, as Prometheus' file service discovery has them: [{"targets": […], "labels": {…}}]"""
    redis_url: str = field(repr=False)
    kill: Kill = field(repr=False)

    def client(self) -> httpx.Client:
        """A browser of its own: no cookies yet, no redirects followed."""
        return httpx.Client(
            base_url=self.front_door, timeout=REQUEST_LIMIT_SECONDS, trust_env=False, verify=trusted()
        )

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.redis_url, decode_responses=True, socket_timeout=REQUEST_LIMIT_SECONDS
        )

    def instances(self, service: str) -> tuple[Instance, ...]:
        """Instances of `service` in the version under test, by address. Raises SmokeError when there is
        none."""
        found = [
            i
            for i in _read_scrape_file(self.scrape_file)
            if (i.service, i.version) == (service, self.version)
        ]
        if not found:
            raise SmokeError(
                f"{service} {self.version}: expected at least one instance, got none",
                where=str(self.scrape_file),
                remedy="look whether the deployment was converged",
            )
        return tuple(sorted(found, key=lambda i: i.address))


def request(client: httpx.Client, method: str, path: str, expected: int, **options: Any) -> httpx.Response:
    """The response, which has the status `expected`. Raises SmokeError otherwise."""
    where = f"{method} {client.base_url.join(path)}"
    try:
        response = client.request(method, path, **options)
    except httpx.HTTPError as error:
        raise SmokeError(
            f"no answer: {error}", where=where, remedy="look at the proxy's and the service's log"
        ) from error
    if response.status_code != expected:
        raise SmokeError(
            f"status: expected {expected}, got {response.status_code}: {response.text[:200]!r}",
            where=where,
            remedy="look at the service's log",
        )
    return response


def json_of(response: httpx.Response) -> Any:
    """The body as JSON. Raises SmokeError when it is none."""
    try:
        return response.json()
    except ValueError as error:
        raise SmokeError(
            f"expected JSON, got {response.text[:200]!r}",
            where=str(response.request.url),
            remedy="look at the service's log",
        ) from error


def wait_until(problem: Callable[[], str | None], *, where: str, limit_seconds: float) -> None:
    """Return once there is no `problem` left. Raises SmokeError with the last one after `limit_seconds`."""
    deadline = time.monotonic() + limit_seconds
    while (left := problem()) is not None:
        if time.monotonic() >= deadline:
            remedy = "look at the log of the service"
            raise SmokeError(f"not within {limit_seconds:g} s: {left}", where=where, remedy=remedy)
        time.sleep(POLL_SECONDS)


def require(holds: bool, what: str, where: str) -> None:
    """Raises SmokeError with `what` unless it holds."""
    if not holds:
        raise SmokeError(what, where=where, remedy="compare with the platform's contract in its README")


def _read_scrape_file(path: Path) -> list[Instance]:
    try:
        groups: list[Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [
            Instance(group["labels"]["service"], group["labels"]["version"], address)
            for group in groups
            for address in group["targets"]
        ]
    except (OSError, ValueError, KeyError) as error:
        raise SmokeError(
            f"cannot be read as service discovery: {error!r}",
            where=str(path),
            remedy="converge the environment again",
        ) from error
