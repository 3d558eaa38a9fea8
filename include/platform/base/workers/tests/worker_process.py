"""Workers as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.redis_server import free_port
from tests.trading import wait

SOURCES = Path(__file__).parents[1] / "src"
DRAIN_LIMIT_SECONDS = 10  # twice what is promised: a busy machine starts and ends processes slowly


def environment(**variables: str) -> dict[str, str]:
    known = {"DEPLOY_ENV": "test", "EXPOSURE_LIMIT": "1000000000000", "PYTHONPATH": str(SOURCES)}
    return {"PATH": os.environ["PATH"], **known, **variables}


class WorkerProcess:
    def __init__(self, redis_url: str, **variables: str) -> None:
        self.address = f"http://127.0.0.1:{(port := free_port())}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workers"],
            env=environment(REDIS_URL=redis_url, PORT=str(port), **variables),
            stdout=subprocess.PIPE,
            text=True,
        )

    def status(self, path: str = "/healthz") -> int:
        """0 when nothing answers."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.text(path))

    def text(self, path: str) -> str:
        with urllib.request.urlopen(self.address + path, timeout=5) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)

    def drain(self) -> tuple[int, list[dict[str, Any]]]:
        """Exit code and log lines."""
        self._process.terminate()
        output, _ = self._process.communicate(timeout=DRAIN_LIMIT_SECONDS)
        return self._process.returncode, [json.loads(line) for line in output.splitlines()]


@contextlib.contextmanager
def running(redis_url: str, count: int = 1, **variables: str) -> Iterator[list[WorkerProcess]]:
    """Workers that are ready; those still running at the end are killed."""
    workers = [WorkerProcess(redis_url, **variables) for _ in range(count)]
    try:
        wait(lambda: all(worker.status() == 200 for worker in workers), "the workers to be healthy")
        yield workers
    finally:
        for worker in workers:
            worker.kill()
