"""The service over HTTP, and as a process."""

from __future__ import annotations

import json
import os
import signal
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

ROOT = Path(__file__).resolve().parents[1]
GOOD = {"PORT": "0", "DEPLOY_ENV": "test"}


@pytest.fixture
def address() -> Iterator[str]:
    metrics, stop = Metrics(), threading.Event()
    server = serve("127.0.0.1", 0, routes(metrics, stop), metrics, NO_TRACKER)
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


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
