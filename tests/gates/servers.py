"""Real servers for the sources: a backend that answers as its path says, Traefik before two of them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx

START_SECONDS = 30


class Answers(BaseHTTPRequestHandler):
    """GET /503 is answered with 503; /slow after 0.2 s."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.path.strip("/")
        if wanted == "slow":
            time.sleep(0.2)
        self.send_response(int(wanted) if wanted.isdigit() else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Quiet."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[int]:
    """The port of an HTTP server in this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_ready(url: str, log: Path, headers: Mapping[str, str] | None = None) -> None:
    """Returns once the server answers there with 200; fails with its log."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if httpx.get(url, headers=headers, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@dataclass
class FrontDoorServer:
    """Traefik with one router for each version of the api, so that a test chooses who answers."""

    web: int
    metrics: int
    dynamic: Path

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.metrics}/metrics"

    def get(self, version: str, path: str) -> int:
        address = f"http://127.0.0.1:{self.web}/{path}"
        return httpx.get(address, headers={"X-Version": version}, trust_env=False).status_code


@contextmanager
def traefik(folder: Path, backends: dict[str, int]) -> Iterator[FrontDoorServer]:
    """Traefik before `backends`, version -> port."""
    program = shutil.which("traefik", path=str(Path(sys.executable).parent)) or shutil.which("traefik")
    assert program is not None
    server = FrontDoorServer(free_port(), free_port(), folder / "dynamic" / "platform.yaml")
    server.dynamic.parent.mkdir()
    routers, services = [], []
    for version, port in backends.items():
        name = f"api-{version.replace('.', '-')}"
        rule = f"Header(`X-Version`, `{version}`)"
        routers.append(f'    {name}: {{rule: "{rule}", service: {name}, entryPoints: [web]}}')
        url = f"http://127.0.0.1:{port}"
        services.append(f'    {name}: {{loadBalancer: {{servers: [{{url: "{url}"}}]}}}}')
    server.dynamic.write_text("\n".join(["http:", "  routers:", *routers, "  services:", *services]))
    static = folder / "traefik.yaml"
    static.write_text(
        f"""entryPoints:
  web: {{address: "127.0.0.1:{server.web}"}}
  metrics: {{address: "127.0.0.1:{server.metrics}"}}
providers:
  file: {{directory: "{server.dynamic.parent}", watch: true}}
  providersThrottleDuration: 0s
metrics:
  prometheus: {{entryPoint: metrics, buckets: [0.05, 0.1, 0.5]}}
"""
    )
    with (folder / "traefik.log").open("w") as log:
        process = subprocess.Popen([program, f"--configFile={static}"], stdout=log, stderr=log)
    try:
        for version in backends:
            _until_answered(server, version)
        yield server
    finally:
        process.terminate()
        process.wait(10)


def _until_answered(server: FrontDoorServer, version: str) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if server.get(version, "200") != 404:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Traefik did not route to {version} within {START_SECONDS} s")
