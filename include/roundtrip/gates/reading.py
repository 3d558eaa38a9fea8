"""Reading: what every source shares: the seam, which version is which arm, and a request that always ends.

Rules:
1. A source never raises for the world: what could not be read is `missing`, with a reason that begins with its cause.
2. Every request ends within its Limits, whatever the other side sends. One whose limit ran out while this process itself
   stood still says nothing of the other side; it is sent once more.
3. Every request has a connection of its own, closed after it: a thousand gates would keep thousands of them open.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

import aiohttp

from roundtrip.errors import EvidenceError, RequestLimitError
from roundtrip.gates.evidence import ARMS, Arm
from roundtrip.gates.fold import RawScrape
from roundtrip.plan.model import Metric
from roundtrip.tls import trusted


@dataclass(frozen=True)
class Limits:
    """What one request may take."""

    seconds: float = 2.0
    page_bytes: int = 16 * 2**20


STOOD_STILL_SECONDS = 0.25
"""An event loop that notices a limit so much later was busy with something else, or had no processor."""


class Source(Protocol):
    """Where counts come from."""

    async def read(self, at: datetime) -> RawScrape:
        """What is shown now; `at` is the moment that it is for."""


@dataclass(frozen=True)
class Versions:
    """Which version is which arm."""

    canary: str
    stable: str

    def of(self, arm: Arm) -> str:
        return self.canary if arm == "canary" else self.stable


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    body: bytes
    date: datetime | None
    """by the server's clock; None when it does not say"""


async def fetch(
    url: str,
    limits: Limits,
    *,
    form: Mapping[str, str] | None = None,
    authorization: str | None = None,
) -> tuple[int, bytes]:
    """Status and body of `answered`. Raises EvidenceError, in which no credential is."""
    found = await answered(url, limits, form=form, authorization=authorization)
    return found.status, found.body


async def answered(
    url: str,
    limits: Limits,
    *,
    form: Mapping[str, str] | None = None,
    authorization: str | None = None,
) -> Answer:
    """The answer; a POST when there is a form. Raises EvidenceError, in which no credential is.

    Redirects are not followed, so an authorization goes to nobody else.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        return await _fetch_once(url, limits, form, authorization)
    except RequestLimitError:
        if loop.time() - began < limits.seconds + STOOD_STILL_SECONDS:
            raise
        return await _fetch_once(url, limits, form, authorization)


async def _fetch_once(
    url: str, limits: Limits, form: Mapping[str, str] | None, authorization: str | None
) -> Answer:
    headers = {"Authorization": authorization} if authorization is not None else {}
    method = "GET" if form is None else "POST"
    remedy = "look whether it is up and answers there"
    try:
        # trust_env=False: what is read is near, and never behind the proxy of the environment.
        async with (
            asyncio.timeout(limits.seconds),
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=trusted(), force_close=True),
                timeout=aiohttp.ClientTimeout(total=None),
                trust_env=False,
            ) as session,
            session.request(method, url, data=form, headers=headers, allow_redirects=False) as response,
        ):
            return Answer(response.status, await _body(response, url, limits), _date(response))
    except TimeoutError as error:
        raise RequestLimitError(f"no page within {limits.seconds:g} s", where=url, remedy=remedy) from error
    except (aiohttp.ClientError, OSError) as error:
        what = f"no page: {type(error).__name__}: {error}"
        raise EvidenceError(what, where=url, remedy=remedy) from error


def _date(response: aiohttp.ClientResponse) -> datetime | None:
    try:
        told = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    return told if told.tzinfo is not None else None


async def _body(response: aiohttp.ClientResponse, url: str, limits: Limits) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > limits.page_bytes:
            raise EvidenceError(f"the page is longer than {limits.page_bytes} bytes", where=url)
    return bytes(body)


def missing_because(error: EvidenceError) -> str:
    """A reason for `missing`; it begins with the cause."""
    return f"{error.cause}: {error}"


def all_missing(metrics: Iterable[Metric], error: EvidenceError) -> dict[str, str]:
    return {f"{arm}/{metric.name}": missing_because(error) for metric in metrics for arm in ARMS}
