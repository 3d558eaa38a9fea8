"""Airflow's REST API as the command line uses it, with a memory and no scheduler: a test says what became of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from roundtrip.embedded.airflow import Login
from tests.conftest import free_port

START_SECONDS = 10


@dataclass
class AirflowSimulator:
    """Bend it: `runs`, `tasks`, `tokens`, `answers_next`, and what `on_trigger` does."""

    port: int = field(default_factory=free_port)
    password: str = "right"
    dags: set[str] = field(default_factory=set)
    runs: dict[tuple[str, str], str] = field(default_factory=dict)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    conf: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    unpaused: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    logins: int = 0
    answers_next: list[int] = field(default_factory=list)
    """status codes of the next answers, before it behaves again"""
    on_trigger: Callable[[str, str], None] = lambda _dag, _run: None

    @property
    def login(self) -> Login:
        return Login(f"http://127.0.0.1:{self.port}", "admin", "right")

    @contextmanager
    def serving(self) -> Iterator[AirflowSimulator]:
        server = uvicorn.Server(
            uvicorn.Config(self._app(), host="127.0.0.1", port=self.port, log_level="error")
        )
        ready = threading.Event()
        original = server.startup

        async def startup(*arguments: Any, **options: Any) -> None:
            await original(*arguments, **options)
            ready.set()

        server.startup = startup  # type: ignore[method-assign]
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        assert ready.wait(START_SECONDS)
        try:
            yield self
        finally:
            server.should_exit = True
            thread.join(START_SECONDS)

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/auth/token", self._token, methods=["POST"]),
                Route("/api/v2/dags", self._dags),
                Route("/api/v2/importErrors", self._import_errors),
                Route("/api/v2/dags/{dag}", self._patch, methods=["PATCH"]),
                Route("/api/v2/dags/{dag}/dagRuns", self._dag_runs, methods=["GET", "POST"]),
                Route("/api/v2/dags/{dag}/dagRuns/{run}", self._run),
                Route("/api/v2/dags/{dag}/dagRuns/{run}/taskInstances", self._task_instances),
            ]
        )

    async def _token(self, request: Request) -> Response:
        if (await request.json())["password"] != self.password:
            return JSONResponse({"detail": "Invalid credentials"}, 401)
        self.logins += 1
        self.tokens.add(f"token-{self.logins}")
        return JSONResponse({"access_token": f"token-{self.logins}"}, 201)

    def _refusal(self, request: Request) -> Response | None:
        if self.answers_next:
            return JSONResponse({"detail": "bent"}, self.answers_next.pop(0))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return JSONResponse({"detail": "Not authenticated"}, 401)
        return None

    async def _dags(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse({"dags": [{"dag_id": d} for d in sorted(self.dags)]})

    async def _import_errors(self, request: Request) -> Response:
        errors = [{"stack_trace": "PlanError: plans/x.yaml:3"}]
        return self._refusal(request) or JSONResponse({"import_errors": errors})

    async def _patch(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        assert (await request.json()) == {"is_paused": False}
        self.unpaused.append(request.path_params["dag"])
        return JSONResponse({})

    async def _dag_runs(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        dag = request.path_params["dag"]
        if request.method == "GET":
            found = [{"dag_run_id": r, "state": s} for (d, r), s in self.runs.items() if d == dag]
            return JSONResponse({"dag_runs": found})
        body = await request.json()
        key = (dag, body["dag_run_id"])
        if key in self.runs:
            return JSONResponse({"detail": "there"}, 409)
        self.runs[key], self.conf[key] = "running", body["conf"]
        self.on_trigger(*key)
        return JSONResponse({"dag_run_id": key[1]})

    async def _run(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        state = self.runs.get((request.path_params["dag"], request.path_params["run"]))
        return JSONResponse({"state": state}) if state else JSONResponse({"detail": "none"}, 404)

    async def _task_instances(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse({"task_instances": self.tasks})
