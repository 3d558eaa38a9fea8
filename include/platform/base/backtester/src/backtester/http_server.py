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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from backtester.error_tracker import ErrorTracker
from backtester.identity import SERVICE, VERSION
from backtester.log import described, log
from backtester.metrics import CONTENT_TYPE, Metrics
from backtester.strategy import Request, RequestError, run

_IDLE_LIMIT_SECONDS = 180
"""Longer than any proxy keeps a connection, so that no request meets one that is closing."""
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


def serve(host: str, port: int, answers: Routes, metrics: Metrics, tracker: ErrorTracker) -> ThreadingHTTPServer:
    """Listen, and answer from a thread. Raises OSError when it cannot listen."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _IDLE_LIMIT_SECONDS

        def do_GET(self) -> None:
            self._respond("GET")

        def do_POST(self) -> None:
            self._respond("POST")

        def _respond(self, method: str) -> None:
            began, path = time.monotonic(), urlsplit(self.path).path
            body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _BODY_LIMIT_BYTES))
            status, kind, content = answer(answers, method, path, body, tracker)
            metrics.answered(method, path if (method, path) in answers else "other", status, time.monotonic() - began)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are counted, not logged."""

    server = ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = False  # what is in hand is finished before the process ends
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    return server


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
