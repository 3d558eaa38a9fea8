"""The Prometheus source against a real server that scrapes real pages, each bent by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from arms import gate, metric, waiting, work
from prometheus_server import PrometheusServer, needs_prometheus, prometheus
from servers import free_port, serving

from roundtrip.errors import GateError
from roundtrip.gates.evidence import Counts, Verdict
from roundtrip.gates.fold import RawScrape, Totals, absorb
from roundtrip.gates.gate import GateSetup, run_gate
from roundtrip.gates.prometheus import Prometheus, Server
from roundtrip.gates.reading import Limits, Versions
from roundtrip.gates.sources import sources
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import Metric

pytestmark = pytest.mark.integration

VERSIONS = Versions(canary="1.1.0", stable="1.0.0")
ERRORS = metric(source="prometheus")
SLOW = metric("slow", kind="slow", source="prometheus", service="workers", slower_than_seconds=0.25)
ORDERS = metric(
    "orders",
    source="prometheus",
    service="workers",
    series={"total": "orders_received_total", "errors": "order_errors_total"},
)
QUEUE = {"source": "prometheus", "service": "queue"}
WORK = work(series={"seconds": "order_handling_seconds"}, **QUEUE)
WAITING = waiting(**QUEUE)
AT_PROXY = metric(
    "at-proxy",
    source="prometheus",
    series={
        "total": "traefik_service_requests_total",
        "labels": {"service": "{service}-{version_dashed}@file"},
        "of_proxy": True,
    },
)

BCRYPT = "$2b$04$abcdefghijklmnopqrstuuXcjcm5avyCiJoD2uS24xa2lb6fjMB3G"
"""of open-sesame"""


def page(good: int = 0, bad: int = 0, *, started: int = 1000) -> str:
    lines = [f"process_start_time_seconds {started}", "# TYPE http_requests_total counter"]
    if good:
        lines.append(f'http_requests_total{{route="/a",code="200"}} {good}')
    if bad:
        lines.append(f'http_requests_total{{route="/a",code="503"}} {bad}')
    lines.append('http_requests_total{route="/healthz",code="500"} 999')
    return "\n".join(lines) + "\n"


HISTOGRAM = """http_request_duration_seconds_bucket{le="0.25"} 90
http_request_duration_seconds_bucket{le="+Inf"} 100
# TYPE orders_received_total counter
orders_received_total 40
order_errors_total 3
"""
WORKER = """process_start_time_seconds 1000
# TYPE order_handling_seconds histogram
order_handling_seconds_bucket{le="+Inf"} 40
order_handling_seconds_count 40
order_handling_seconds_sum 3
# TYPE stream_lag gauge
stream_lag 11
"""
DOOR = 'traefik_service_requests_total{service="api-1-0-0@file",code="200"} 50\n'
RENAMED = '# TYPE api_requests_total counter\napi_requests_total{code="200"} 5\n'
QUIET = "# TYPE http_requests_total counter\nprocess_start_time_seconds 1000\n"
PLATFORM = {
    "steady": [("1.0.0", page(50, 1)), ("1.1.0", page(5)), ("1.1.0", page(6, 2))],
    "leaving": [("1.0.0", page(50)), ("1.1.0", page(5)), ("1.1.0", page(100))],
    "down": [("1.0.0", page(50)), ("1.1.0", page(5)), ("1.1.0", page(5))],
    "quiet": [("1.0.0", page(50)), ("1.1.0", QUIET)],
    "renamed": [("1.0.0", page(50)), ("1.1.0", RENAMED)],
    "hiding": [("1.0.0", HISTOGRAM), ("1.1.0", "orders_received_total 40\n")],
    "workers": [("1.0.0", HISTOGRAM), ("1.1.0", HISTOGRAM)],
    "queue": [("1.0.0", WORKER), ("1.1.0", WORKER)],
    "bent": [("1.0.0", page(50)), ("1.1.0", page(5))],
    "failing": [("1.0.0", page(50)), ("1.1.0", page(50))],
    "old": [("1.0.0", page(50))],
}
"""Each test has its own, since the server looks for new targets every five seconds only."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), {**PLATFORM, "": [("", DOOR)]}) as one:
        yield one


def errors(service: str) -> Metric:
    return metric(source="prometheus", service=service)


def source(server: PrometheusServer, *metrics: Metric, stale_seconds: float = 10.0) -> Prometheus:
    return Prometheus(Server(server.url), metrics, VERSIONS, stale_seconds)


def read(one: Prometheus, *, after: float = 0.0) -> RawScrape:
    return asyncio.run(one.read(datetime.now(UTC) + timedelta(seconds=after)))


def stable_of(totals: Totals, name: str = "errors") -> Counts:
    return totals.of("stable", [name])[name]


def canary_of(totals: Totals, name: str = "errors") -> Counts:
    return totals.of("canary", [name])[name]


@needs_prometheus
def test_finished_work_has_the_age_that_its_process_had_when_it_was_scraped_and_a_gauge_is_looked_at(server):
    began = datetime.now(UTC).timestamp()
    scrape = read(source(server, WORK, WAITING))
    assert scrape.missing == {}
    work = [one for one in scrape.readings if one.metric == "work"]
    assert [(one.arm, one.counts.bad, one.started) for one in work] == [
        ("canary", 40, 1000.0),
        ("stable", 40, 1000.0),
    ]
    for one in work:
        assert began - 1000 - 10 < one.counts.total / 1000 <= datetime.now(UTC).timestamp() - 1000
    looks = [(one.arm, one.counts, one.is_look) for one in scrape.readings if one.metric == "waiting"]
    assert looks == [("canary", Counts(1, 1), True), ("stable", Counts(1, 1), True)]


@needs_prometheus
def test_finished_work_that_nobody_promises_was_renamed(server):
    renamed = WORK.model_copy(
        update={"series": WORK.series.model_copy(update={"seconds": "handling"}), "name": "renamed"}
    )
    scrape = read(source(server, renamed, WAITING.model_copy(update={"gauge": "lag", "name": "lag"})))
    assert {column: why.partition(":")[0] for column, why in scrape.missing.items()} == dict.fromkeys(
        ("canary/renamed", "stable/renamed", "canary/lag", "stable/lag"), "metric-renamed"
    )


@needs_prometheus
def test_both_arms_are_counted_by_process_and_health_checks_are_not(server):
    old, new, other = server.of("steady")
    scrape = read(source(server, errors("steady")))
    assert scrape.missing == {}
    assert {one.instance: one.counts for one in scrape.readings} == {
        f"platform/{old.address}": Counts(51, 1),
        f"platform/{new.address}": Counts(5, 0),
        f"platform/{other.address}": Counts(8, 2),
    }
    assert {one.started for one in scrape.readings} == {1000.0}


@needs_prometheus
def test_a_process_that_restarts_is_counted_from_zero_and_one_that_goes_keeps_what_it_brought(server):
    _, new, other = server.of("leaving")
    began = absorb(None, read(source(server, errors("leaving"))))
    new.text = page(2, 1, started=int(datetime.now(UTC).timestamp()) + 1)
    other.text = page(130)
    server.until('http_requests_total{service="leaving",code="503"}', 1)
    server.until('max(http_requests_total{service="leaving",code="200"})', 130)
    grown = absorb(began, read(source(server, errors("leaving"))))
    assert canary_of(grown) == Counts(33, 1)
    server.forget(other)
    server.until('count(up{service="leaving"})', 2)
    scrape = read(source(server, errors("leaving")))
    assert scrape.missing == {}
    assert canary_of(absorb(grown, scrape)) == Counts(33, 1)


@needs_prometheus
def test_a_process_that_is_down_makes_its_arm_missing_by_name(server):
    gone = server.of("down")[-1]
    gone.text = None
    server.until('count(up{service="down"} == 0)', 1)
    scrape = read(source(server, errors("down")))
    assert list(scrape.missing) == ["canary/errors"]
    assert scrape.missing["canary/errors"].startswith("target-vanished: ")
    assert f"{gone.address} did not answer" in scrape.missing["canary/errors"]
    assert {one.arm for one in scrape.readings} == {"stable"}


@needs_prometheus
def test_a_version_that_no_target_has_is_missing(server):
    why = read(source(server, errors("old"))).missing
    assert list(why) == ["canary/errors"]
    assert why["canary/errors"].startswith("target-vanished: ")
    assert "scrapes no target with these labels" in why["canary/errors"]


@needs_prometheus
def test_a_process_without_requests_yet_is_zero_and_its_first_ones_count(server):
    began = absorb(None, read(source(server, errors("quiet"))))
    assert began.missing == {}
    _, new = server.of("quiet")
    new.text = page(7, 1)
    server.until('http_requests_total{service="quiet",code="503"}', 1)
    grown = absorb(began, read(source(server, errors("quiet"))))
    assert canary_of(grown) == Counts(8, 1)
    new.text = QUIET
    server.until('http_requests_total{service="quiet",code="503"}', None)
    lost = absorb(grown, read(source(server, errors("quiet"))))
    assert lost.missing["canary/errors"].startswith("metric-renamed: ")
    assert canary_of(lost) == Counts(8, 1)
    new.text = page(9, 1)
    server.until('http_requests_total{service="quiet",code="503"}', 1)
    assert canary_of(absorb(lost, read(source(server, errors("quiet"))))) == Counts(10, 1)


@needs_prometheus
def test_a_process_that_names_its_metric_otherwise_is_missing_by_name(server):
    _, new = server.of("renamed")
    why = read(source(server, errors("renamed"))).missing
    assert list(why) == ["canary/errors"]
    assert why["canary/errors"].startswith("metric-renamed: ")
    assert f"shows no http_requests_total at platform/{new.address}" in why["canary/errors"]


@needs_prometheus
def test_a_process_without_the_counter_of_errors_hides_them(server):
    why = read(source(server, ORDERS.model_copy(update={"service": "hiding"}))).missing
    assert list(why) == ["canary/orders"]
    assert why["canary/orders"].startswith("metric-renamed: ")
    assert "shows no order_errors_total" in why["canary/orders"]


@needs_prometheus
def test_what_was_scraped_too_long_ago_is_no_evidence_although_the_server_still_shows_it(server):
    steady = source(server, errors("steady"), stale_seconds=5)
    assert read(steady, after=4).missing == {}
    scrape = read(steady, after=60)
    assert set(scrape.missing) == {"canary/errors", "stable/errors"}
    assert scrape.missing["canary/errors"].startswith("evidence-too-old: ")
    assert "s ago, no evidence after 5 s" in scrape.missing["canary/errors"]
    assert scrape.readings == ()


@needs_prometheus
def test_slow_ones_and_orders_are_counted_by_their_own_series(server):
    scrape = read(source(server, SLOW, ORDERS))
    assert scrape.missing == {}
    assert {(one.column, one.counts) for one in scrape.readings} == {
        ("canary/slow", Counts(100, 10)),
        ("stable/slow", Counts(100, 10)),
        ("canary/orders", Counts(40, 3)),
        ("stable/orders", Counts(40, 3)),
    }
    between = SLOW.model_copy(update={"slower_than_seconds": 0.2})
    why = read(source(server, between)).missing["canary/slow"]
    assert "no bucket at 0.2 s, there are +Inf, 0.25" in why


@needs_prometheus
def test_a_proxys_series_are_zero_until_the_first_request_and_all_of_them_count(server):
    [door] = server.of("")
    began = absorb(None, read(source(server, AT_PROXY)))
    assert began.missing == {}
    door.text = DOOR + 'traefik_service_requests_total{service="api-1-1-0@file",code="502"} 4\n'
    server.until('traefik_service_requests_total{code="502"}', 4)
    totals = absorb(began, read(source(server, AT_PROXY)))
    assert canary_of(totals, "at-proxy") == Counts(4, 4)
    assert stable_of(totals, "at-proxy") == Counts()
    summed = AT_PROXY.model_copy(
        update={"series": AT_PROXY.series.model_copy(update={"instance_label": "replica"})}
    )
    assert "a series has no label replica" in read(source(server, summed)).missing["stable/at-proxy"]
    door.text = "x 1\n"
    server.until("count(traefik_service_requests_total)", None)
    why = read(source(server, AT_PROXY)).missing["canary/at-proxy"]
    assert why.startswith("metric-renamed: ")
    assert "none of the other version" in why


@needs_prometheus
@pytest.mark.parametrize(("marker", "value"), list(enumerate(["NaN", "-5", "0.5", "1e300", "+Inf"])))
def test_a_value_that_is_no_count_is_missing(server, marker, value):
    _, new = server.of("bent")
    new.text = f'http_requests_total{{code="200"}} {value}\nmarker {marker}\n'
    server.until("marker", marker)
    scrape = read(source(server, errors("bent")))
    assert list(scrape.missing) == ["canary/errors"]
    assert "expected a whole number" in scrape.missing["canary/errors"]


@needs_prometheus
def test_a_server_that_wants_a_login_gets_it_and_nobody_sees_it(tmp_path):
    known = "Basic cmVhZGVyOm9wZW4tc2VzYW1l"  # reader:open-sesame
    users = f"basic_auth_users: {{reader: '{BCRYPT}'}}\n"
    with prometheus(tmp_path, {}, login=known, users=users) as server:
        inside = Prometheus(Server(server.url, known), (ERRORS,), VERSIONS, 10)
        assert "scrapes no target with these labels" in read(inside).missing["canary/errors"]
        assert known not in repr(inside)
        wrong = Prometheus(Server(server.url, "Basic d3Jvbmc="), (ERRORS,), VERSIONS, 10)
        for one in (source(server, ERRORS), wrong):
            why = read(one).missing["canary/errors"]
            assert why.startswith("source-unreadable: ")
            assert "got status 401" in why
            assert "d3Jvbmc" not in why


def test_a_server_that_is_down_is_missing_evidence():
    one = Prometheus(Server(f"http://127.0.0.1:{free_port()}"), (ERRORS,), VERSIONS, 10)
    scrape = read(one)
    assert set(scrape.missing) == {"canary/errors", "stable/errors"}
    assert scrape.missing["canary/errors"].startswith("source-unreadable: ")


VECTOR = {"resultType": "vector", "result": []}
FOREIGN = {"metric": {"a": "b"}, "value": [0, "1"]}
ANSWERS = {
    "no JSON": b"<html>",
    "a list": b"[]",
    "an error": json.dumps({"status": "error", "error": "too many samples"}).encode(),
    "a part": json.dumps({"status": "success", "warnings": ["store is away"], "data": VECTOR}).encode(),
    "a matrix": json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode(),
    "no data": json.dumps({"status": "success"}).encode(),
    "a foreign series": json.dumps({"status": "success", "data": {**VECTOR, "result": [FOREIGN]}}).encode(),
    "a long one": b" " * 2000,
}


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_that_is_not_whole_is_missing_evidence(body):
    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    with serving(Answers) as port:
        address = f"http://127.0.0.1:{port}"
        limits = Limits(page_bytes=1000)
        scrape = read(Prometheus(Server(address), (ERRORS,), VERSIONS, 10, limits))
    assert set(scrape.missing) == {"canary/errors", "stable/errors"}
    assert all(why.startswith("source-unreadable: ") for why in scrape.missing.values())


def test_a_metric_from_prometheus_without_a_server_is_refused():
    with pytest.raises(GateError, match="the environment names no Prometheus server"):
        sources(gate(ERRORS), VERSIONS, front_door="", services=Path("none"))


@needs_prometheus
def test_a_gate_judges_what_the_server_scraped(server, tmp_path):
    """Every fifth request to the canary fails, as its page shows; the gate pulls it."""
    old, new = server.of("failing")
    plan = gate(errors("failing"), interval_seconds=0.1, minimum_requests=1, deadline_seconds=30)
    pulled: list[str] = []

    async def pull(reason: str) -> None:
        pulled.append(reason)

    async def traffic() -> None:
        served = 50
        while True:
            served += 20
            old.text, new.text = page(served), page(served, (served - 50) // 5)
            await asyncio.sleep(0.05)

    async def both():
        load = asyncio.create_task(traffic())
        try:
            found = sources(plan, VERSIONS, front_door="", services=tmp_path, prometheus=Server(server.url))
            ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
            setup = GateSetup("r1", "wave", "somewhere", canary="1.1.0", stable="1.0.0", gate=plan)
            return await run_gate(setup, ledger, found, pull=pull)
        finally:
            load.cancel()

    decision = asyncio.run(both())
    assert decision.verdict is Verdict.FAIL
    assert pulled == [decision.reason]
