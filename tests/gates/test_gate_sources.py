"""The sources against the real programs whose pages they read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event

import httpx
import pytest
from arms import gate, metric
from prometheus_client import CollectorRegistry, Counter, start_http_server
from servers import Answers, FrontDoorServer, free_port, serving, traefik

from roundtrip.gates.evidence import Counts, Verdict
from roundtrip.gates.fold import RawScrape, absorb
from roundtrip.gates.gate import GateSetup, run_gate
from roundtrip.gates.reading import STOOD_STILL_SECONDS, Limits, Versions
from roundtrip.gates.scrape import FrontDoor, Services
from roundtrip.gates.sources import sources
from roundtrip.ledger.ledger import Ledger

pytestmark = pytest.mark.integration

VERSIONS = Versions(canary="1.1.0", stable="1.0.0")
SLOW = metric("slow", kind="slow", slower_than_seconds=0.1)


def read(source: FrontDoor | Services) -> RawScrape:
    return asyncio.run(source.read(datetime.now(UTC)))


def counts(scrape: RawScrape, column: str) -> Counts:
    found = [one.counts for one in scrape.readings if one.column == column]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def door(tmp_path: Path) -> Iterator[FrontDoorServer]:
    """1.0.0 answers, 1.1.0 refuses every connection."""
    with serving(Answers) as stable, traefik(tmp_path, {"1.0.0": stable, "1.1.0": free_port()}) as server:
        yield server


def test_the_front_door_counts_errors_of_a_version_and_connections_that_it_refused(door):
    source = FrontDoor(door.page, (metric(),), VERSIONS)
    before = absorb(None, read(source))
    for path in ("200", "200", "404", "500", "503"):
        door.get("1.0.0", path)
    assert [door.get("1.1.0", "200") for _ in range(3)] == [502, 502, 502]
    totals = absorb(before, read(source))
    assert totals.of("stable", ["errors"]) == {"errors": Counts(5, 2)}
    assert totals.of("canary", ["errors"]) == {"errors": Counts(3, 3)}
    assert totals.missing == {}


def test_what_is_near_is_not_asked_through_the_proxy_of_the_environment(door, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")
    assert read(FrontDoor(door.page, (metric(),), VERSIONS)).missing == {}


def test_the_front_door_counts_slow_answers_by_its_bucket(door):
    source = FrontDoor(door.page, (SLOW,), VERSIONS)
    before = absorb(None, read(source))
    for path in ("200", "slow", "200"):
        door.get("1.0.0", path)
    assert absorb(before, read(source)).of("stable", ["slow"]) == {"slow": Counts(3, 1)}


def test_a_bound_that_is_no_bucket_is_missing_evidence(door):
    odd = metric("slow", kind="slow", slower_than_seconds=0.07)
    scrape = read(FrontDoor(door.page, (odd,), VERSIONS))
    assert "no bucket at 0.07 s" in scrape.missing["stable/slow"]


def test_a_version_that_had_no_request_yet_is_zero(door):
    scrape = read(FrontDoor(door.page, (metric(),), Versions("2.0.0", "1.0.0")))
    assert counts(scrape, "canary/errors") == Counts(0, 0)
    assert scrape.missing == {}


def test_a_front_door_that_is_down_or_somebody_else_is_missing_evidence():
    dead = read(FrontDoor(f"http://127.0.0.1:{free_port()}/metrics", (metric(),), VERSIONS))
    assert set(dead.missing) == {"canary/errors", "stable/errors"}
    assert "no page: ClientConnectorError" in dead.missing["canary/errors"]
    with serving(Answers) as port:
        other = read(FrontDoor(f"http://127.0.0.1:{port}/200", (metric(),), VERSIONS))
        broken = read(FrontDoor(f"http://127.0.0.1:{port}/503", (metric(),), VERSIONS))
    assert "it is not the front door's page" in other.missing["canary/errors"]
    assert "expected status 200, got 503" in broken.missing["canary/errors"]


class Hangs(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Sends a byte now and then, so that no single read times out."""
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(100):
                self.wfile.write(b"#\n")
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    def log_message(self, *_args: object) -> None:
        """Quiet."""


def test_a_page_that_never_ends_is_given_up():
    with serving(Hangs) as port:
        began = time.monotonic()
        address = f"http://127.0.0.1:{port}/metrics"
        scrape = read(FrontDoor(address, (metric(),), VERSIONS, Limits(seconds=0.4)))
        assert time.monotonic() - began < 2
    assert "no page within 0.4 s" in scrape.missing["canary/errors"]


def test_a_limit_that_ran_out_while_our_own_loop_stood_still_is_not_the_sources_fault(door):
    limit = 0.4

    class Waits(BaseHTTPRequestHandler):
        """Answers its first request only once our event loop stands still."""

        asked, is_still = Event(), Event()

        def do_GET(self) -> None:
            self.asked.set()
            assert self.is_still.wait(10)
            page = httpx.get(door.page, trust_env=False).content
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            with contextlib.suppress(OSError):  # the first one was given up meanwhile
                self.wfile.write(page)

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    async def stand_still() -> None:
        while not Waits.asked.is_set():
            await asyncio.sleep(0)
        Waits.is_still.set()
        time.sleep(limit + 2 * STOOD_STILL_SECONDS)  # what a badly written trigger does to all others

    async def both(source: FrontDoor) -> RawScrape:
        scrape, _ = await asyncio.gather(source.read(datetime.now(UTC)), stand_still())
        return scrape

    with serving(Waits) as port:
        address = f"http://127.0.0.1:{port}/metrics"
        source = FrontDoor(address, (metric(),), VERSIONS, Limits(seconds=limit))
        assert asyncio.run(both(source)).missing == {}


def test_a_page_that_is_too_long_is_refused(door):
    scrape = read(FrontDoor(door.page, (metric(),), VERSIONS, Limits(page_bytes=100)))
    assert "longer than 100 bytes" in scrape.missing["canary/errors"]


SERVICE = """
import sys
from prometheus_client import Counter, start_http_server
requests = Counter("http_requests_total", "Requests", ["route", "code"])
for code, count in zip(sys.argv[2::2], sys.argv[3::2]):
    requests.labels("/api/orders", code).inc(int(count))
requests.labels("/healthz", "200").inc(1000)
start_http_server(int(sys.argv[1]), addr="127.0.0.1")
print("ready", flush=True)
sys.stdin.read()
"""


class Fleet:
    """Real processes with real pages, and the list of them that a target writes."""

    def __init__(self, folder: Path) -> None:
        self.targets = folder / "targets.json"
        self.processes: dict[int, subprocess.Popen[str]] = {}
        self.listed: list[dict[str, object]] = []
        self.write()

    def start(self, version: str, *counted: object, port: int | None = None) -> int:
        port = port or free_port()
        process = subprocess.Popen(
            [sys.executable, "-c", SERVICE, str(port), *map(str, counted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout.readline() == "ready\n"
        self.processes[port] = process
        self.list(port, version)
        return port

    def list(self, port: int, version: str, service: str = "api") -> None:
        labels = {"service": service, "version": version, "instance": "1"}
        self.listed.append({"targets": [f"127.0.0.1:{port}"], "labels": labels})
        self.write()

    def write(self) -> None:
        beside = self.targets.with_suffix(".new")
        beside.write_text(json.dumps(self.listed))
        beside.replace(self.targets)

    def kill(self, port: int) -> None:
        self.processes[port].kill()
        self.processes.pop(port).communicate(timeout=10)

    def end(self) -> None:
        for port in list(self.processes):
            self.kill(port)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    one = Fleet(tmp_path)
    yield one
    one.end()


SERVICES_METRIC = metric(source="services")


def test_the_processes_of_each_version_are_added_up_and_health_checks_do_not_count(fleet):
    fleet.start("1.0.0", "200", 50, "500", 1)
    fleet.start("1.1.0", "200", 5)
    fleet.start("1.1.0", "200", 6, "503", 2)
    scrape = read(Services(fleet.targets, (SERVICES_METRIC,), VERSIONS))
    assert counts(scrape, "stable/errors") == Counts(51, 1)
    canary = [one for one in scrape.readings if one.arm == "canary"]
    assert sorted(one.counts.total for one in canary) == [5, 8]
    assert all(abs(one.started - time.time()) < 60 for one in canary)
    assert scrape.missing == {}


def test_a_process_that_is_killed_is_missing_and_counts_from_zero_when_it_is_back(fleet):
    fleet.start("1.0.0", "200", 1)
    port = fleet.start("1.1.0", "200", 5)
    source = Services(fleet.targets, (SERVICES_METRIC,), VERSIONS)
    began = absorb(None, read(source))
    fleet.kill(port)
    scrape = read(source)
    assert f"127.0.0.1:{port}" in scrape.missing["canary/errors"]
    gone = absorb(began, scrape)
    fleet.start("1.1.0", "200", 9, "500", 1, port=port)
    fleet.listed.pop()
    fleet.write()
    back = absorb(gone, read(source))
    assert back.of("canary", ["errors"]) == {"errors": Counts(10, 1)}
    assert back.missing == {}


def test_a_version_of_which_nothing_is_listed_is_missing(fleet):
    fleet.start("1.0.0", "200", 1)
    scrape = read(Services(fleet.targets, (SERVICES_METRIC,), VERSIONS))
    why = scrape.missing.pop("canary/errors")
    assert why.startswith("target-vanished: ")
    assert "no process of api 1.1.0 is listed in targets.json" in why
    assert scrape.missing == {}


def test_a_process_that_counts_nothing_that_is_known_is_missing(fleet):
    registry = CollectorRegistry()
    Counter("something_else_total", "x", registry=registry).inc()
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    fleet.list(server.server_port, "1.1.0")
    scrape = read(Services(fleet.targets, (SERVICES_METRIC,), VERSIONS))
    server.shutdown()
    server.server_close()
    thread.join()
    assert "shows none of orders_received_total, http_requests_total" in scrape.missing["canary/errors"]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '[{"targets": ["a:1"]}]', '{"a": 1}'])
def test_a_list_that_cannot_be_read_is_missing_evidence(tmp_path, text):
    targets = tmp_path / "targets.json"
    if text is not None:
        targets.write_text(text)
    scrape = read(Services(targets, (SERVICES_METRIC,), VERSIONS))
    assert set(scrape.missing) == {"canary/errors", "stable/errors"}
    assert "the list of processes cannot be read" in scrape.missing["canary/errors"]


def test_a_gate_judges_real_traffic_through_the_real_front_door(door, tmp_path):
    """Every connection to the canary is refused; the gate sees 502s and pulls it."""
    plan = gate(interval_seconds=0.1, minimum_requests=1, deadline_seconds=30)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    setup = GateSetup("r1", "staging", "local_staging", canary="1.1.0", stable="1.0.0", gate=plan)
    pulled: list[str] = []

    async def pull(reason: str) -> None:
        pulled.append(reason)

    async def client() -> None:
        while True:
            await asyncio.gather(*(asyncio.to_thread(door.get, v, "200") for v in ("1.0.0", "1.1.0")))

    async def both():
        load = asyncio.create_task(client())
        try:
            found = sources(plan, VERSIONS, front_door=door.page, services=tmp_path / "none.json")
            return await run_gate(setup, ledger, found, pull=pull)
        finally:
            load.cancel()

    decision = asyncio.run(both())
    assert decision.verdict is Verdict.FAIL
    assert pulled == [decision.reason]
    canary = decision.metrics["errors"].canary
    assert canary.bad == canary.total > 0
    assert decision.metrics["errors"].stable.bad == 0
