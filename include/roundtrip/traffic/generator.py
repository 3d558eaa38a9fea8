"""Clients of the platform: sends the mix through the front door, and records what each request came to.

Rules:
1. No request is ever repeated: what a client saw fail is a failed request.
2. Requests leave when they are due, not when the last one was answered. A generator that was held up (a suspended
   machine) lets go of what it is more than MOST_BEHIND_SECONDS late for, and sends no flood.
3. Each logical client keeps its own cookies, so the proxy's stickiness acts as for a browser; fresh ones
   carry none.
4. The rate is asked for each second; the next request is drawn at the new one.
5. At the end what is in flight gets REQUEST_LIMIT_SECONDS to finish; the rest is recorded as abandoned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

import aiohttp

from roundtrip.traffic.mix import PATHS, Mix, Planned, is_answer
from roundtrip.traffic.record import Record
from roundtrip.traffic.series import UNKNOWN_VERSION

REQUEST_LIMIT_SECONDS = 10.0
MOST_BEHIND_SECONDS = 5.0
MOST_IN_FLIGHT = 2000
"""more than this and a request is recorded as failed with 'abandoned' instead of sent: the platform hangs"""
RECENT_ORDERS = 200
FLUSH_SECONDS = 1.0

Clock = Callable[[], datetime]
VersionOf = Callable[[Mapping[str, str], Mapping[str, str]], str]
"""Headers of the response, cookies that were sent or given -> version that answered."""


class ConnectionLostError(aiohttp.ClientError):
    """The connection ended before the answer came."""


Rate = Callable[[], float]
"""() -> requests a second that are asked for now"""


@dataclass(frozen=True)
class Answer:
    """One response, read to its end."""

    status: int
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    """what the client sent, and over it what it was given, by name"""


class Generator:
    """One run of the traffic."""

    def __init__(
        self,
        *,
        front_door: str,
        mix: Mix,
        record: Record,
        clients: int,
        clock: Clock,
        version_of: VersionOf,
        rate: Rate,
    ) -> None:
        self._front_door = front_door
        self._mix = mix
        self._record = record
        self._clock = clock
        self._version_of = version_of
        self._rate = rate
        self._number_of_clients = clients
        self._clients: list[aiohttp.ClientSession] = []
        self._recent: deque[str] = deque(maxlen=RECENT_ORDERS)
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then let what is in flight finish and write the account's end."""
        # The number of this run is on disk before its first order id is used.
        self._record.flush(self._clock())
        self._mix.requests_per_second = self._rate()
        flusher = asyncio.create_task(self._flush_each_second())
        try:
            async with AsyncExitStack() as closing:
                await self._open_clients(closing)
                await self._send_until(stop)
                await self._finish()
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            self._record.flush(self._clock(), ended=True)

    async def _open_clients(self, closing: AsyncExitStack) -> None:
        """The logical clients, and last the one that keeps no cookies."""
        # One pool of connections for all, without a bound of its own: a full pool would look like a slow platform.
        pool = aiohttp.TCPConnector(limit=0, keepalive_timeout=5.0)
        await closing.enter_async_context(pool)
        jars = [aiohttp.CookieJar(unsafe=True) for _ in range(self._number_of_clients)]
        for jar in (*jars, aiohttp.DummyCookieJar()):
            session = aiohttp.ClientSession(
                self._front_door,
                connector=pool,
                connector_owner=False,
                cookie_jar=jar,
                timeout=aiohttp.ClientTimeout(total=REQUEST_LIMIT_SECONDS),
                middlewares=(_never_again,),
            )
            self._clients.append(await closing.enter_async_context(session))

    async def _send_until(self, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stop.is_set():
            due = max(due + self._mix.gap_seconds(), loop.time() - MOST_BEHIND_SECONDS)
            wait_seconds = due - loop.time()
            if wait_seconds > 0:
                try:
                    await asyncio.wait_for(stop.wait(), wait_seconds)
                    return
                except TimeoutError:
                    pass  # nobody stopped us: the request is due
            self._start(self._mix.draw())

    async def _finish(self) -> None:
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=REQUEST_LIMIT_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _start(self, planned: Planned) -> None:
        if len(self._in_flight) >= MOST_IN_FLIGHT:
            now = self._clock()
            self._record.sent(planned.route, now)
            self._record.failed(planned.route, "abandoned", UNKNOWN_VERSION, now, now)
            return
        task = asyncio.create_task(self._request(planned))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _request(self, planned: Planned) -> None:
        client = self._clients[-1 if planned.client is None else planned.client]
        sent_at = self._clock()
        self._record.sent(planned.route, sent_at)
        try:
            answer = await self._ask(client, planned)
        except TimeoutError:
            self._lost(planned, "timeout", sent_at)
        except aiohttp.ClientError:
            self._lost(planned, "connection", sent_at)
        except asyncio.CancelledError:
            self._lost(planned, "abandoned", sent_at)
            raise
        else:
            self._came_back(planned, answer, sent_at)

    async def _ask(self, client: aiohttp.ClientSession, planned: Planned) -> Answer:
        method, path, body = self._form(planned)
        # Read now: while this request is on its way another one of the same client may be given a new cookie.
        cookies = {morsel.key: morsel.value for morsel in client.cookie_jar}
        async with client.request(method, path, json=body, allow_redirects=False) as response:
            await response.read()
            cookies |= {name: morsel.value for name, morsel in response.cookies.items()}
            return Answer(response.status, response.headers, cookies)

    def _form(self, planned: Planned) -> tuple[str, str, dict[str, object] | None]:
        if planned.order is not None:
            return "POST", PATHS[planned.route], planned.order.body()
        if planned.route == "read order":
            return "GET", f"/api/orders/{self._mix.pick(list(self._recent))}", None
        return "GET", PATHS[planned.route], None

    def _came_back(self, planned: Planned, answer: Answer, sent_at: datetime) -> None:
        now, version = self._clock(), self._version_of(answer.headers, answer.cookies)
        if is_answer(planned.route, answer.status, answer.headers.get("content-type", "")):
            self._record.answered(planned.route, answer.status, version, sent_at, now)
            if planned.order is not None:
                self._record.order(planned.order, certain=True, now=now)
                self._recent.append(planned.order.id)
            return
        self._record.failed(planned.route, str(answer.status), version, sent_at, now)
        if planned.order is not None and answer.status >= 500:
            self._record.order(planned.order, certain=False, now=now)

    def _lost(self, planned: Planned, reason: str, sent_at: datetime) -> None:
        now = self._clock()
        self._record.failed(planned.route, reason, UNKNOWN_VERSION, sent_at, now)
        if planned.order is not None:
            self._record.order(planned.order, certain=False, now=now)

    async def _flush_each_second(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self._record.flush(self._clock())
            self._mix.requests_per_second = self._rate()


async def _never_again(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The library sends a GET a second time when its connection was lost; as another error it does not."""
    try:
        return await send(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLostError(str(error)) from error
