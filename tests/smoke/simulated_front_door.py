"""The platform's front door as its contract says: the api, the UI, and in 1.1.0 NextAuth's login routes
and backtests.

The login talks to a real OAuth server (the stand-in for GitHub); a test bends the rest by the fields below.
"""

from __future__ import annotations

import secrets
import socket
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

import httpx
import redis
import uvicorn
from prometheus_client import CollectorRegistry, Counter, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route


@dataclass
class SimulatedFrontDoor:
    version: str
    redis_url: str
    worker: str
    """host:port of the worker that 1.0.0 asks for risk and positions"""
    github: str = ""
    client_id: str = ""
    client_secret: str = ""
    keeps_session: bool = False
    """bent: signing out does not end the session"""
    counts_metrics: bool = True
    minds_cookies: bool = False
    """bent: the old UI answers a stale session with a redirect"""
    random_backtests: bool = False
    port: int = 0
    sessions: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.redis = redis.Redis.from_url(self.redis_url, decode_responses=True)
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "", ["method", "route", "code"], registry=self.registry)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # from here on a client waits for the server instead of being refused
        self.port = listener.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(self.app(), log_level="error"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
        assert not self._thread.is_alive()

    def app(self) -> Starlette:
        routes = [
            Route("/api/orders", self.place, methods=["POST"]),
            Route("/api/orders/{id}", self.order),
            Route("/api/risk", self.risk),
            Route("/api/positions", self.positions),
            Route("/metrics", self.metrics),
            Route("/", self.home),
        ]
        if self.version != "1.0.0":
            routes += [
                Route("/backtest", self.home),
                Route("/api/backtest", self.backtest, methods=["POST"]),
                Route("/api/auth/csrf", self.csrf),
                Route("/api/auth/signin/github", self.signin, methods=["POST"]),
                Route("/api/auth/callback/github", self.callback),
                Route("/api/auth/session", self.session),
                Route("/api/auth/signout", self.signout, methods=["POST"]),
            ]
        return Starlette(routes=routes)

    async def place(self, request: Request) -> Response:
        order = await request.json()
        fields = {k: str(order[k]) for k in ("order_id", "symbol", "side", "quantity", "price")}
        self.redis.xadd("orders", {**fields, "at": ""})
        if self.counts_metrics:
            self.requests.labels("POST", "/api/orders", "202").inc()
        return JSONResponse({"order_id": order["order_id"], "status": "accepted"}, status_code=202)

    async def order(self, request: Request) -> Response:
        for _, fields in self.redis.xrevrange("fills"):
            if fields["order_id"] == request.path_params["id"]:
                return JSONResponse({**fields, "price": float(fields["price"])})
        return JSONResponse({"error": "unknown"}, status_code=404)

    async def risk(self, _request: Request) -> Response:
        return await self._of_worker("/risk")

    async def positions(self, _request: Request) -> Response:
        return await self._of_worker("/positions")

    async def metrics(self, _request: Request) -> Response:
        return PlainTextResponse(generate_latest(self.registry))

    async def home(self, request: Request) -> Response:
        if self.minds_cookies and "next-auth.session-token" in request.cookies:
            return RedirectResponse("/api/auth/signin")
        return HTMLResponse("<html><title>Ops</title></html>")

    async def backtest(self, request: Request) -> Response:
        asked = await request.json()
        if asked["symbol"] == "NO-SUCH":
            return JSONResponse({"error": "unknown symbol", "field": "symbol"}, status_code=400)
        final = secrets.randbelow(10**9) if self.random_backtests else 101
        result = {"symbol": asked["symbol"], "trades": 4, "return_percent": 1.0, "max_drawdown_percent": 2.5}
        return JSONResponse({**result, "equity": [100, final]})

    async def csrf(self, request: Request) -> Response:
        token = request.cookies.get("next-auth.csrf-token", secrets.token_hex(16))
        response = JSONResponse({"csrfToken": token})
        response.set_cookie("next-auth.csrf-token", token)
        return response

    async def signin(self, request: Request) -> Response:
        sent = dict(parse_qsl((await request.body()).decode()))
        if sent.get("csrfToken") != request.cookies.get("next-auth.csrf-token"):
            return JSONResponse({"url": f"{self.url}/api/auth/signin?csrf=true"})
        back = f"{self.url}/api/auth/callback/github"
        asked = {"client_id": self.client_id, "redirect_uri": back, "scope": "read:user", "state": "st"}
        return JSONResponse({"url": f"{self.github}/login/oauth/authorize?{urlencode(asked)}"})

    async def callback(self, request: Request) -> Response:
        body = {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "code": request.query_params["code"],
        }
        async with httpx.AsyncClient(trust_env=False) as client:
            address = f"{self.github}/login/oauth/access_token"
            given = (await client.post(address, data=body, headers={"accept": "application/json"})).json()
            if "error" in given:
                return RedirectResponse("/api/auth/error?error=OAuthCallback", status_code=302)
            authorization = {"authorization": f"Bearer {given['access_token']}"}
            user = (await client.get(f"{self.github}/user", headers=authorization)).json()
        session = secrets.token_hex(16)
        self.sessions[session] = {"name": user["name"], "email": user["email"]}
        response = RedirectResponse(self.url, status_code=302)
        response.set_cookie("next-auth.session-token", session)
        return response

    async def session(self, request: Request) -> Response:
        user = self.sessions.get(request.cookies.get("next-auth.session-token", ""))
        return JSONResponse({"user": user} if user else {})

    async def signout(self, request: Request) -> Response:
        if not self.keeps_session:
            self.sessions.pop(request.cookies.get("next-auth.session-token", ""), None)
        return JSONResponse({"url": self.url})

    async def _of_worker(self, path: str) -> Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return JSONResponse((await client.get(f"http://{self.worker}{path}")).json())
