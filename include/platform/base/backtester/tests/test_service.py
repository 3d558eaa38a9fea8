"""The service over HTTP, and as a process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from backtester.configuration import ConfigurationError, read_configuration
from backtester.error_tracker import NO_TRACKER, ErrorTracker
from backtester.http_server import answer, routes, serve
from backtester.identity import VERSION
from backtester.metrics import Metrics
from backtester.service import run

ROOT = Path(__file__).resolve().parents[1]
GOOD = {"PORT": "0", "DEPLOY_ENV": "test"}


@pytest.fixture
def address() -> Iterator[str]:
    metrics, stop = Metrics(), threading.Event()
    server = serve("127.0.0.1", 0, routes(metrics, stop), metrics, NO_TRACKER)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.drain(5)


def ask(url: str, body: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, data=body, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_backtest_is_run_and_counted(address: str) -> None:
    status, text = ask(f"{address}/backtest", json.dumps({"symbol": "BTC-USD", "fast": 5, "slow": 20}).encode())
    assert status == 200
    assert json.loads(text)["symbol"] == "BTC-USD"
    page = ask(f"{address}/metrics")[1]
    assert f'code="200",method="POST",route="/backtest",service="backtester",version="{VERSION}"}} 1.0' in page


def test_what_cannot_be_run_is_answered_with_400(address: str) -> None:
    assert ask(f"{address}/backtest", b"{}")[0] == 400
    assert ask(f"{address}/backtest", b"not JSON") == (400, '{"error": "the body is no JSON", "field": ""}')


def test_a_body_of_unknown_or_too_large_a_size_is_refused_and_the_connection_ended(address: str) -> None:
    host = address.removeprefix("http://")
    for headers in ({"Content-Length": "10001"}, {"Content-Length": "-1"}, {"Transfer-Encoding": "chunked"}):
        connection = http.client.HTTPConnection(host, timeout=5)
        connection.putrequest("POST", "/backtest")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert (response.status, response.getheader("Connection")) == (400, "close")
        connection.close()


def test_health_and_unknown_pages(address: str) -> None:
    assert json.loads(ask(f"{address}/healthz")[1]) == {"status": "ok", "service": "backtester", "version": VERSION}
    assert ask(f"{address}/nowhere")[0] == 404


def test_an_exception_is_reported_and_answered_with_500() -> None:
    seen: list[BaseException] = []

    def broken(_: bytes) -> tuple[int, str, bytes]:
        raise ZeroDivisionError("x")

    tracker = ErrorTracker(report=seen.append, flush=lambda: None)
    assert answer({("GET", "/x"): broken}, "GET", "/x", b"", tracker)[0] == 500
    assert [type(error) for error in seen] == [ZeroDivisionError]


def test_the_service_listens_and_drains(capsys: pytest.CaptureFixture[str]) -> None:
    stop = threading.Event()
    stop.set()
    run(read_configuration(GOOD), stop)
    assert [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()] == ["listening", "drained"]


def test_a_taken_port_and_a_dsn_that_is_none_are_errors() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        run(read_configuration({**GOOD, "PORT": str(other.getsockname()[1])}), threading.Event())
    with pytest.raises(ConfigurationError, match="SENTRY_DSN is no DSN"):
        run(read_configuration({**GOOD, "SENTRY_DSN": "http://nobody"}), threading.Event())


def test_every_sample_says_service_and_version(address: str) -> None:
    lines = [line for line in ask(f"{address}/metrics")[1].splitlines() if not line.startswith("#")]
    assert any(line.startswith("process_start_time_seconds{") for line in lines)
    for line in lines:
        assert f'service="backtester",version="{VERSION}"' in line


def test_a_process_that_is_asked_to_end_drains() -> None:
    environment = {**os.environ, **GOOD, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(
        [sys.executable, "-m", "backtester"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        listening = json.loads(process.stdout.readline())
        assert ask(f"http://127.0.0.1:{listening['port']}/healthz")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert json.loads(process.stdout.readline())["message"] == "drained"
        assert process.wait(10) == 0


def test_without_its_settings_it_ends_with_78_and_one_line() -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-m", "backtester"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (78, "backtester: PORT is not set\n")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "70000", "PORT is no port number"),
        ("DEPLOY_ENV", "prod", "DEPLOY_ENV is none of staging, production, test"),
        ("SENTRY_DSN", "nowhere", "SENTRY_DSN is no address that starts with http:// or https://"),
    ],
)
def test_a_malformed_variable_is_named(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_configuration({**GOOD, name: value})
