"""Clients of the platform: sends the mix through the front door, and records what each request came to.

Rules:
1. No request is ever repeated: what a client saw fail is a failed request.
2. Requests leave when they are due, not when the last one was answered. A generator that was held up (a
   suspended
   machine) lets go of what it is more than MOST_BEHIND_SECONDS late for, and sends no flood.
3. Each logical client keeps its own cookies, so the proxy's stickiness acts as for a browser; fresh ones
   carry none.
4. At the end what is in flight gets REQUEST_LIMIT_SECONDS to finish; the rest is recorded as abandoned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import datetime

import httpx

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
VersionOf = Callable[[str, httpx.Response], str]
"""Route and response -> version that answered."""


class Generator:
    """One run of the traffic."""

    def __init__(
        self, *, front_door: str, mix: Mix, record: Record, clients: int, clock: Clock, version_of: VersionOf
    ) -> None:
        self._mix = mix
        self._record = record
        self._clock = clock
        self._version_of = version_of
        self._front_door = front_door
        # One pool of connections for all clients, without a bound of its own: a full pool would look like
        # a slow platform.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=5.0)
        self._transport = httpx.AsyncHTTPTransport(retries=0, limits=limits, trust_env=False)
        self._clients = [self._client() for _ in range(clients)]
        self._recent: deque[str] = deque(maxlen=RECENT_ORDERS)
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then let what is in flight finish and write the account's end."""
        # The number of this run is on disk before its first order id is used.
        self._record.flush(self._clock())
        flusher = asyncio.create_task(self._flush_each_second())
        try:
            await self._send_until(stop)
            if self._in_flight:
                _, late = await asyncio.wait(self._in_flight, timeout=REQUEST_LIMIT_SECONDS)
                for task in late:
                    task.cancel()
                await asyncio.gather(*late, return_exceptions=True)
        finally:
            flusher.cancel()
            await asyncio.gather(flusher, return_exceptions=True)
            await self._transport.aclose()
            self._record.flush(self._clock(), ended=True)

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
        client = self._client() if planned.client is None else self._clients[planned.client]
        sent_at = self._clock()
        self._record.sent(planned.route, sent_at)
        try:
            response = await asyncio.wait_for(self._ask(client, planned), REQUEST_LIMIT_SECONDS)
        except (TimeoutError, httpx.TimeoutException):
            self._lost(planned, "timeout", sent_at)
        except httpx.HTTPError:
            self._lost(planned, "connection", sent_at)
        except asyncio.CancelledError:
            self._lost(planned, "abandoned", sent_at)
            raise
        else:
            self._came_back(planned, response, sent_at)

    async def _ask(self, client: httpx.AsyncClient, planned: Planned) -> httpx.Response:
        if planned.order is not None:
            return await client.post(PATHS[planned.route], json=planned.order.body())
        if planned.route == "read order":
            return await client.get(f"/api/orders/{self._mix.pick(list(self._recent))}")
        return await client.get(PATHS[planned.route])

    def _came_back(self, planned: Planned, response: httpx.Response, sent_at: datetime) -> None:
        now, version = self._clock(), self._version_of(planned.route, response)
        if is_answer(planned.route, response.status_code, response.headers.get("content-type", "")):
            self._record.answered(planned.route, response.status_code, version, now)
            if planned.order is not None:
                self._record.order(planned.order, certain=True, now=now)
                self._recent.append(planned.order.id)
            return
        self._record.failed(planned.route, str(response.status_code), version, sent_at, now)
        if planned.order is not None and response.status_code >= 500:
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

    def _client(self) -> httpx.AsyncClient:
        """A logical client: cookies of its own on the shared connections."""
        return httpx.AsyncClient(
            base_url=self._front_door,
            transport=self._transport,
            timeout=REQUEST_LIMIT_SECONDS,
            follow_redirects=False,
            trust_env=False,
        )
