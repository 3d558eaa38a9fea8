"""The HTTP side: backtests, health and metrics.

Rules:
1. A request that cannot be run is answered with 400 and the field that has to change.
2. An exception is answered with 500 and reported; it does not end the process.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from backtester.draining_server import DrainingHandler, DrainingServer
from backtester.error_tracker import ErrorTracker
from backtester.identity import SERVICE, VERSION
from backtester.log import described, log
from backtester.metrics import CONTENT_TYPE, Metrics
from backtester.strategy import Request, RequestError, run

_BODY_LIMIT_BYTES = 10_000

Answer = tuple[int, str, bytes]
Routes = dict[tuple[str, str], Callable[[bytes], Answer]]


def routes(metrics: Metrics, stop: threading.Event) -> Routes:
    def healthz(_: bytes) -> Answer:
        status, code = ("draining", 503) if stop.is_set() else ("ok", 200)
        return json_answer(code, {"status": status, "service": SERVICE, "version": VERSION})

    return {
        ("GET", "/healthz"): healthz,
        ("GET", "/metrics"): lambda _: (200, CONTENT_TYPE, metrics.text()),
        ("POST", "/backtest"): _backtest,
    }


def serve(host: str, port: int, answers: Routes, metrics: Metrics, tracker: ErrorTracker) -> DrainingServer:
    """Listen, and answer from a thread. Raises OSError when it cannot listen."""

    class Handler(DrainingHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
            self._respond("GET")

        def do_POST(self) -> None:  # noqa: N802 - http.server calls it so
            self._respond("POST")

        def _respond(self, method: str) -> None:
            with self.server.answering():
                began, path = time.monotonic(), urlsplit(self.path).path
                body = self._body()
                if body is None:
                    self.close_connection = True  # what follows the head cannot be told from a request
                    response = json_answer(400, {"error": "no body of a known, small size"})
                else:
                    response = answer(answers, method, path, body, tracker)
                route = path if (method, path) in answers else "other"
                metrics.answered(method, route, response[0], time.monotonic() - began)
                self.answer(*response)

        def _body(self) -> bytes | None:
            length = self.headers.get("Content-Length", "0")
            is_known = length.isdecimal() and "Transfer-Encoding" not in self.headers
            return self.rfile.read(int(length)) if is_known and int(length) <= _BODY_LIMIT_BYTES else None

    return DrainingServer((host, port), Handler)


def answer(answers: Routes, method: str, path: str, body: bytes, tracker: ErrorTracker) -> Answer:
    """What a request is answered with."""
    handle = answers.get((method, path))
    if handle is None:
        return json_answer(404, {"error": "no such page"})
    try:
        return handle(body)
    except RequestError as error:
        return json_answer(400, {"error": str(error), "field": error.field})
    except Exception as error:  # noqa: BLE001 - the border of a request: counted, reported, answered
        tracker.report(error)
        log("error", described(error), route=path)
        return json_answer(500, {"error": "internal error"})


def json_answer(status: int, body: object) -> Answer:
    return status, "application/json", json.dumps(body).encode()


def _backtest(body: bytes) -> Answer:
    try:
        data = json.loads(body)
    except ValueError as error:
        raise RequestError("the body is no JSON", "") from error
    return json_answer(200, run(Request.read(data)))
