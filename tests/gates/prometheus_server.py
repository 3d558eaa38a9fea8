"""A real Prometheus server that scrapes pages which a test bends, or no server and the reason for the skip."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from servers import free_port, until_ready

PROGRAM = shutil.which("prometheus")
SCRAPE_SECONDS = 0.25
WAIT_SECONDS = 20

needs_prometheus = pytest.mark.skipif(PROGRAM is None, reason="no prometheus on PATH (a package of Debian)")


class BentPage:
    """One process's page: whatever text the test gives it, or an error."""

    def __init__(self, text: str) -> None:
        self.text: str | None = text
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                text = page.text
                self.send_response(500 if text is None else 200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class PrometheusServer:
    """The server, and the targets that it is given."""

    url: str
    folder: Path
    authorization: str | None = None
    pages: list[BentPage] = field(default_factory=list)
    listed: list[dict[str, Any]] = field(default_factory=list)

    def serve(self, text: str, **labels: str) -> BentPage:
        """A process with this page. Before the server starts: it looks for new targets every five seconds only."""
        page = BentPage(text)
        self.pages.append(page)
        self.listed.append({"targets": [page.address], "labels": labels})
        self.write()
        return page

    def forget(self, page: BentPage) -> None:
        """The process is taken from the list, as by service discovery, and seen to be gone within five seconds."""
        self.listed = [one for one in self.listed if one["targets"] != [page.address]]
        self.write()

    def of(self, service: str) -> list[BentPage]:
        """The pages of a service, in the order in which they were served."""
        addresses = [one["targets"] for one in self.listed if one["labels"].get("service") == service]
        return [page for page in self.pages if [page.address] in addresses]

    def write(self) -> None:
        targets = self.folder / "targets.json"
        beside = targets.with_suffix(".new")
        beside.write_text(json.dumps(self.listed))
        beside.replace(targets)

    def until(self, query: str, value: float | None) -> None:
        """Waits until the server's own answer to `query` is `value`, None for no series."""
        end = time.monotonic() + WAIT_SECONDS
        seen: object = None
        while time.monotonic() < end:
            seen = self._value(query)
            if seen == value:
                return
            time.sleep(0.02)
        raise AssertionError(f"{query}: expected {value} within {WAIT_SECONDS} s, got {seen}")

    def _value(self, query: str) -> float | None:
        headers = {"Authorization": self.authorization} if self.authorization else {}
        answer = httpx.post(
            f"{self.url}/api/v1/query", data={"query": query}, headers=headers, trust_env=False
        ).json()
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None


@contextmanager
def prometheus(
    folder: Path,
    platform: Mapping[str, Sequence[tuple[str, str]]],
    *,
    login: str | None = None,
    users: str = "",
) -> Iterator[PrometheusServer]:
    """A server that scrapes `platform`, service -> (version, text of the page) of each process.

    `login` is the Authorization header that it asks for, `users` the text of its web configuration.
    """
    assert PROGRAM is not None
    port = free_port()
    server = PrometheusServer(f"http://127.0.0.1:{port}", folder, login)
    server.write()
    for service, processes in platform.items():
        for version, text in processes:
            server.serve(text, service=service, version=version)
    every = f"{SCRAPE_SECONDS * 1000:.0f}ms"
    (folder / "prometheus.yml").write_text(
        f"""global: {{scrape_interval: {every}, scrape_timeout: {every}}}
scrape_configs:
  - job_name: platform
    file_sd_configs: [{{files: ["{folder / "targets.json"}"]}}]
"""
    )
    (folder / "web.yml").write_text(users)
    arguments = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.config.file={folder / 'web.yml'}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen([PROGRAM, *arguments], stdout=log, stderr=log)
    try:
        headers = {"Authorization": login} if login else {}
        until_ready(f"{server.url}/-/ready", folder / "prometheus.log", headers)
        if platform:
            server.until("count(up == 1)", len(server.pages))
        yield server
    finally:
        process.kill()
        process.wait(10)
        for page in server.pages:
            page.close()
