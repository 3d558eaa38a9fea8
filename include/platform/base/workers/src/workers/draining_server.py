"""An HTTP server that finishes what it is answering before it is closed.

Rules:
1. An idle connection that a proxy keeps open holds nothing up; a request that is being answered does, up to a
   limit.
2. A connection is told to end with the first answer after draining began.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_IDLE_LIMIT_SECONDS = 180
"""Longer than any proxy keeps a connection, so that no request meets one that is closing."""


class DrainingServer(ThreadingHTTPServer):
    """Listens from its making on, and answers from a thread. Raises OSError when it cannot listen."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._answering = 0
        self._changed = threading.Condition()
        self._is_draining = False
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around everything that one request takes."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()

    def drain(self, limit_seconds: float) -> None:
        """Returns once nothing is being answered any more, or after the limit."""
        self._is_draining = True
        self.shutdown()
        with self._changed:
            self._changed.wait_for(lambda: self._answering == 0, limit_seconds)
        self.server_close()


class DrainingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_LIMIT_SECONDS
    disable_nagle_algorithm = True  # else the body waits for the receipt of the head, up to 40 ms
    server: Any  # a DrainingServer

    def answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection or self.server.is_draining:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are counted, not logged."""
