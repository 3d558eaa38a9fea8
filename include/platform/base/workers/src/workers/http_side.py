"""The HTTP side of a worker: health, metrics, and its view of the risk."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from workers import SERVICE, VERSION

Answer = Callable[[], tuple[str, Any]]
"""status and JSON body"""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are counted, not logged."""


def serve(host: str, port: int, answers: dict[str, Answer]) -> WSGIServer:
    """Answer in a thread until `shutdown` is called."""
    metrics = make_wsgi_app()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            found: Iterable[bytes] = metrics(environ, start_response)
            return found
        status, body = answers[path]() if path in answers else ("404 Not Found", {"error": "not found"})
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    server = make_server(host, port, application, server_class=_Server, handler_class=_Quiet)
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def health(is_healthy: Callable[[], bool]) -> Answer:
    def answer() -> tuple[str, Any]:
        healthy = is_healthy()
        body = {"status": "ok" if healthy else "unavailable", "service": SERVICE, "version": VERSION}
        return ("200 OK" if healthy else "503 Service Unavailable"), body

    return answer
