"""The HTTP side: health, metrics, risk and positions.

Rules:
1. Healthy means that what was journalled before is counted, that Redis answers and that this process is not
   draining. Whoever asked for risk before that would wait, and slow down the counting.
2. What needs Redis while it cannot be reached is answered with 503.
3. Another exception is answered with 500 and reported.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import redis

from workers.draining_server import DrainingHandler, DrainingServer
from workers.error_tracker import ErrorTracker
from workers.identity import SERVICE, VERSION
from workers.log import described, log
from workers.metrics import CONTENT_TYPE, Metrics
from workers.services.risk_service import RiskService

Answer = tuple[int, str, bytes]
Routes = Mapping[str, Callable[[], Answer]]


def routes(
    client: redis.Redis,
    risk: RiskService,
    metrics: Metrics,
    caught_up: threading.Event,
    stop: threading.Event,
) -> Routes:
    def healthz() -> Answer:
        if stop.is_set():
            return _json(503, {"status": "draining", "service": SERVICE, "version": VERSION})
        if not caught_up.is_set():
            return _json(503, {"status": "catching up", "service": SERVICE, "version": VERSION})
        client.ping()
        return _json(200, {"status": "ok", "service": SERVICE, "version": VERSION})

    return {
        "/healthz": healthz,
        "/metrics": lambda: (200, CONTENT_TYPE, metrics.text()),
        "/risk": lambda: _json(200, risk.risk()),
        "/positions": lambda: _json(200, risk.positions()),
    }


def serve(host: str, port: int, answers: Routes, tracker: ErrorTracker) -> DrainingServer:
    """Listen, and answer from a thread. Raises OSError when it cannot listen."""

    class Handler(DrainingHandler):
        def do_GET(self) -> None:  # noqa: N802 - http.server calls it so
            with self.server.answering():
                self.answer(*answer(answers, urlsplit(self.path).path, tracker))

    return DrainingServer((host, port), Handler)


def answer(answers: Routes, path: str, tracker: ErrorTracker) -> Answer:
    """What a request is answered with."""
    read = answers.get(path)
    if read is None:
        return _json(404, {"error": "no such page"})
    try:
        return read()
    except redis.RedisError:
        body = {"status": "unavailable", "error": "Redis cannot be reached"}
        return _json(503, {**body, "service": SERVICE, "version": VERSION})
    except Exception as error:  # noqa: BLE001 - the border of a request: reported and answered
        tracker.report(error)
        log("error", "request not answered", path=path, error=described(error))
        return _json(500, {"error": "internal error"})


def _json(status: int, body: object) -> Answer:
    return status, "application/json", json.dumps(body).encode()
