"""A real HTTP server that answers as the platform's front door does, and can be bent while clients are on
it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


@dataclass
class BendableApi:
    """Counts what it was asked; `fail_every` answers each n-th order with 500, `proxy_404` loses its routes,
    `hangs` answers nothing until it is False again."""

    fail_every: int = 0
    proxy_404: bool = False
    hangs: bool = False
    version: str | None = None
    orders: Counter[str] = field(default_factory=Counter)
    """order id -> how often it arrived"""
    with_cookie: int = 0
    without_cookie: int = 0
    fresh_cookie: int = 0

    def __post_init__(self) -> None:
        self._given = 0
        self._placed = 0
        self.port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen on a free port, or again on the one from before."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(self._app(), log_level="error", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.should_exit = True
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/orders", self._place, methods=["POST"]),
                Route("/api/orders/{id}", self._read),
                Route("/{rest:path}", self._anything),
            ]
        )

    async def _answering(self) -> None:
        while self.hangs:
            await asyncio.sleep(0.02)

    async def _place(self, request: Request) -> Response:
        await self._answering()
        body = await request.json()
        self.orders[body["order_id"]] += 1
        self._placed += 1
        if self.fail_every and self._placed % self.fail_every == 0:
            return self._with_cookie(request, JSONResponse({"error": "bent"}, status_code=500))
        accepted = {"order_id": body["order_id"], "status": "accepted"}
        return self._with_cookie(request, JSONResponse(accepted, status_code=202))

    async def _read(self, request: Request) -> Response:
        known = request.path_params["id"] in self.orders
        return self._with_cookie(request, JSONResponse({"known": known}, status_code=200 if known else 404))

    async def _anything(self, request: Request) -> Response:
        await self._answering()
        if self.proxy_404:
            return PlainTextResponse("404 page not found\n", status_code=404)
        return self._with_cookie(request, JSONResponse({"ok": True}))

    def _with_cookie(self, request: Request, response: Response) -> Response:
        if "sticky" in request.cookies:
            self.with_cookie += 1
        else:
            self.without_cookie += 1
            response.set_cookie("sticky", f"arm-{self._given % 2}")
            self._given += 1
        if self.version:
            response.headers["X-Version"] = self.version
        return response


class HangingUp:
    """A server that reads each request and ends the connection without an answer."""

    def __init__(self) -> None:
        self.requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> HangingUp:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed by the test
            with connection:
                if connection.recv(65536):
                    self.requests += 1
