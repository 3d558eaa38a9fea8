from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from roundtrip.traffic.account import TrafficAccount
from tests.traffic.bendable_api import BendableApi

START_LIMIT_SECONDS = 20.0

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def api() -> Iterator[BendableApi]:
    server = BendableApi()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def start_traffic(tmp_path: Path, api: BendableApi) -> Iterator[Start]:
    """Starts the generator as the process it is in production, on the account `tmp_path / "traffic"`."""
    started: list[subprocess.Popen[str]] = []

    def start(*more: str, rps: float = 50, front_door: str = "") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "roundtrip.traffic", "--front-door", front_door or api.url]
        command += ["--rps", str(rps), "--state", str(tmp_path / "traffic"), "--seed", "7", *more]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


@pytest.fixture
def account(tmp_path: Path) -> TrafficAccount:
    return TrafficAccount(tmp_path / "traffic")


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {START_LIMIT_SECONDS} s: {what}"
        time.sleep(0.05)


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    return output


def _environment() -> dict[str, str]:
    include = Path(__file__).parents[2] / "include"
    return {**os.environ, "PYTHONPATH": str(include)}
