"""The filter before the engine's socket as docker-compose.yaml has it, with other places for its sockets: HAProxy as a process."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path(__file__).resolve().parents[2] / "include" / "compose" / "engine-proxy"
PROGRAM = "haproxy"
START_LIMIT_SECONDS = 10
END_LIMIT_SECONDS = 10
ANSWER_LIMIT_SECONDS = 30


def why_none() -> str | None:
    """Why it cannot be had here; None if it can."""
    return None if shutil.which(PROGRAM) else f"no {PROGRAM} on PATH (Debian's package {PROGRAM})"


@contextmanager
def engine_proxy(engine: str, log: Path) -> Iterator[str]:
    """The address of the filter before the engine at this address."""
    with tempfile.TemporaryDirectory(prefix="roundtrip-filter-") as run:
        listens = Path(run) / "engine.sock"
        places = {
            "/usr/local/etc/haproxy": str(CONFIGURATION),
            "/run/engine/engine.sock": str(listens),
            "/var/run/docker.sock": engine.removeprefix("unix://"),
        }
        settings = Path(run) / "haproxy.cfg"
        settings.write_text(_placed((CONFIGURATION / "haproxy.cfg").read_text(), places))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PROGRAM, "-f", str(settings)], stdout=output, stderr=subprocess.STDOUT
            )
        try:
            _wait_until_it_listens(listens, process, log)
            yield f"unix://{listens}"
        finally:
            process.terminate()
            process.wait(END_LIMIT_SECONDS)


@dataclass(frozen=True)
class Answer:
    status: int
    is_of_the_engine: bool
    """rather than of the filter"""


def ask(
    address: str, method: str, path: str, body: str | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Just this request, with a path that no library has tidied up."""
    with closing(_UnixConnection(address)) as connection:
        given = {"Content-Type": "application/json"} if body is not None else {}
        sent = None if body is None else body.encode()
        connection.request(method, path, sent, {**given, **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, response.getheader("Api-Version") is not None)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("engine", timeout=ANSWER_LIMIT_SECONDS)
        self._address = address.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(ANSWER_LIMIT_SECONDS)
        self.sock.connect(self._address)


def _placed(text: str, places: Mapping[str, str]) -> str:
    for usual, here in places.items():
        assert usual in text
        text = text.replace(usual, here)
    return text


def _wait_until_it_listens(listens: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    while not listens.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{PROGRAM} does not listen; its log:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
