from __future__ import annotations

import gzip
import json
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis
import sentry_sdk

from tests.redis_server import RedisServer, free_port
from tests.trading import order, pending, placed, service, wait
from workers.configuration import Configuration, ConfigurationError, read_configuration
from workers.error_tracker import ErrorTracker, open_error_tracker
from workers.http_server import Answer, answer, routes
from workers.identity import SERVICE, VERSION, version_of
from workers.metrics import Metrics
from workers.redis_connection import connect
from workers.service import run


def configuration(url: str, port: int, **variables: str) -> Configuration:
    given = {"PORT": str(port), "DEPLOY_ENV": "test", "REDIS_URL": url, "EXPOSURE_LIMIT": "1000"}
    return read_configuration({**given, **variables})


def test_the_service_listens_works_and_drains(
    server: RedisServer, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, port = threading.Event(), free_port()
    process = threading.Thread(target=run, args=[configuration(server.url, port), stop])
    process.start()
    try:
        placed(client, order("a", quantity="3"))
        wait(lambda: client.xlen("fills") == 1 and pending(client) == 0, "the order")
        bodies = {}
        for path in ("/healthz", "/risk", "/positions"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as read:
                assert read.headers["Content-Type"] == "application/json"
                bodies[path] = json.load(read)
    finally:
        stop.set()
        process.join(10)
    assert not process.is_alive()
    assert bodies == {
        "/healthz": {"status": "ok", "service": SERVICE, "version": VERSION},
        "/risk": {"exposure": {"BTC-USD": 30.0}, "pnl": -30.0, "kill_switch": False},
        "/positions": {"positions": [{"symbol": "BTC-USD", "quantity": 3.0, "exposure": 30.0}]},
    }
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["listening", "drained"]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_and_a_dsn_that_is_none_are_errors(server: RedisServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        run(configuration(server.url, other.getsockname()[1]), threading.Event())
    with pytest.raises(ConfigurationError, match=r"^SENTRY_DSN is no DSN$"):
        run(configuration(server.url, 0, SENTRY_DSN="http://nobody"), threading.Event())


def test_catching_up_and_draining_are_unhealthy(client: redis.Redis) -> None:
    caught_up, stop = threading.Event(), threading.Event()
    answers = routes(client, service(client), Metrics(), caught_up, stop)
    assert answers["/healthz"]()[0] == 503
    caught_up.set()
    assert answers["/healthz"]()[0] == 200
    stop.set()
    assert answers["/healthz"]()[0] == 503


def test_an_exception_is_reported_and_answered_with_500() -> None:
    reported: list[BaseException] = []

    def broken() -> Answer:
        raise ZeroDivisionError

    tracker = ErrorTracker(report=reported.append, flush=lambda: None)
    assert answer({"/risk": broken}, "/risk", tracker)[0] == 500
    assert [type(error) for error in reported] == [ZeroDivisionError]


def test_a_connection_that_is_refused_says_no_password() -> None:
    away = connect(f"redis://:hidden@127.0.0.1:{free_port()}/0")
    with pytest.raises(redis.ConnectionError) as raised:
        away.ping()
    assert "hidden" not in str(raised.value)


def test_the_version_is_that_of_the_project_file_that_is_this_services(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\nname = "workers"\nversion = "7.8.9"\n')
    assert version_of(file) == "7.8.9"


def test_exceptions_reach_the_error_tracker_without_local_variables() -> None:
    received: list[bytes] = []

    class Ingest(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    ingest = HTTPServer(("127.0.0.1", 0), Ingest)
    threading.Thread(target=ingest.serve_forever, daemon=True).start()
    tracker = open_error_tracker(f"http://key@127.0.0.1:{ingest.server_port}/1", "test")
    try:
        hidden = "local " + "variable"
        raise LookupError(f"a bug of length {len(hidden)}")
    except LookupError as error:
        tracker.report(error)
    tracker.flush()
    ingest.shutdown()
    ingest.server_close()
    sentry_sdk.init()  # reports nowhere from here on
    text = b"".join(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body for body in received).decode()
    assert "a bug of length 14" in text
    assert f'"release":"{SERVICE}@{VERSION}"' in text
    assert "local variable" not in text
