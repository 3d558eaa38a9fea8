"""What a real Prometheus server recorded of stable is counted by the hour, exactly, or not at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from itertools import accumulate

import pytest
from arms import metric
from prometheus_server import PrometheusServer
from recorded_days import (
    DAYS,
    SCRAPES_AN_HOUR,
    SINCE,
    UNTIL,
    Process,
    Scraped,
    Shown,
    hour_of,
    needs_history,
    recorded,
)
from servers import free_port, serving
from test_gate_prometheus import BCRYPT

from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import Counts
from roundtrip.gates.prometheus import Server
from roundtrip.gates.prometheus_history import PrometheusHistory, whole_hours
from roundtrip.gates.reading import Limits, Versions
from roundtrip.plan.model import Metric

pytestmark = pytest.mark.integration

STALE_SECONDS = 45
STEADY = 10
"""good requests between two scrapes"""
FIFTH = (SINCE + timedelta(hours=5)).hour
"""hour of the day of the recorded hour in which something happens"""


def good(number: int) -> float:
    return number * STEADY


def page(good: float, bad: float = 0, started: float = 1000) -> Shown:
    return {
        "process_start_time_seconds": started,
        'http_requests_total{code="200"}': good,
        'http_requests_total{code="503"}': bad,
        'http_requests_total{route="/healthz",code="500"}': good,
    }


BAD = list(
    accumulate(((SINCE.hour + hour_of(n)) % 24 for n in range(1, DAYS * 24 * SCRAPES_AN_HOUR + 1)), initial=0)
)
"""by number of the scrape: each hour of the day has its own"""


def varying(number: int) -> Shown:
    return page(good(number), BAD[number])


def in_fifth_hour(number: int, first: int, last: int) -> bool:
    """Whether a scrape is one of these of the fifth hour."""
    return first <= number - 5 * SCRAPES_AN_HOUR <= last


def restarting(number: int) -> Shown:
    """At its 60th scrape of the fifth hour a new process has taken its place, and shows more than the old one did."""
    begun = 5 * SCRAPES_AN_HOUR + 60
    if number < begun:
        return page(good(number))
    started = SINCE.timestamp() + (begun - 1) * 30
    return page(100_000 + good(number - begun), started=started)


def falling(number: int) -> Shown:
    """The same, and does not say when it began."""
    begun = 5 * SCRAPES_AN_HOUR + 60
    shown = page(good(number) if number < begun else good(number - begun))
    return {series: value for series, value in shown.items() if series != "process_start_time_seconds"}


def missed(first: int, last: int) -> Scraped:
    return lambda number: None if in_fifth_hour(number, first, last) else page(good(number))


def down(first: int, last: int) -> Scraped:
    return lambda number: {"up": 0} if in_fifth_hour(number, first, last) else page(good(number))


def resting(number: int) -> Shown:
    """Nobody asks it anything in the fifth hour."""
    rested = min(max(number - 5 * SCRAPES_AN_HOUR, 0), SCRAPES_AN_HOUR)
    return page(good(number - rested))


def timed(number: int) -> Shown:
    total = good(number)
    return {
        "process_start_time_seconds": 1000,
        'http_request_duration_seconds_bucket{le="0.25"}': total - number,
        'http_request_duration_seconds_bucket{le="+Inf"}': total,
    }


def orders(number: int) -> Shown:
    """No order was ever bad, and the process is gone since."""
    return {"process_start_time_seconds": 1000, "orders_received_total": good(number)}


PROMISING = "# TYPE orders_received_total counter\n# TYPE order_errors_total counter\n"
HIDING = "# TYPE orders_received_total counter\n"

PROCESSES = [
    Process("varying", varying),
    Process("restarting", restarting),
    Process("falling", falling),
    Process("gap", missed(40, 70)),
    Process("blink", missed(40, 45)),
    Process("half", lambda number: page(good(number))),
    Process("half", down(40, 70), instance="old:2"),
    Process("resting", resting),
    Process("two", lambda number: page(good(number))),
    Process("two", lambda number: page(good(number)), instance="old:2"),
    Process("two", lambda number: page(good(number), good(number)), version="1.1.0"),
    Process("timed", timed),
    Process("promising", orders),
    Process("hiding", orders),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    now = {"promising": [("1.0.0", PROMISING)], "hiding": [("1.0.0", HIDING)]}
    with recorded(tmp_path_factory.mktemp("history"), PROCESSES, now) as one:
        yield one


def history(url: str, *metrics: Metric, **changes: object) -> PrometheusHistory:
    authorization = changes.pop("authorization", None)
    where = Server(url, authorization)
    return PrometheusHistory(where, metrics, Versions("1.1.0", "1.0.0"), STALE_SECONDS, **changes)


def by_hour(server: PrometheusServer, *metrics: Metric) -> dict[str, dict[int, tuple[Counts, ...]]]:
    return asyncio.run(history(server.url, *metrics).by_hour(UNTIL + timedelta(minutes=7), DAYS))


def counted(server: PrometheusServer, service: str) -> dict[int, tuple[Counts, ...]]:
    return by_hour(server, metric("errors", source="prometheus", service=service))["errors"]


HOUR = Counts(SCRAPES_AN_HOUR * STEADY, 0)


@needs_history
def test_each_hour_is_counted_as_it_was(server):
    bad = {hour: SCRAPES_AN_HOUR * hour for hour in range(24)}
    assert counted(server, "varying") == {
        hour: (Counts(HOUR.total + bad[hour], bad[hour]),) * DAYS for hour in range(24)
    }


@needs_history
@pytest.mark.parametrize(
    ("service", "in_fifth"),
    [
        # What came between a process's last reading and its end is lost; nobody can know it.
        ("restarting", Counts(58 * STEADY + 100_000 + 60 * STEADY)),
        ("falling", Counts(58 * STEADY + 60 * STEADY)),
        ("blink", HOUR),
        ("gap", None),
        ("half", None),
        ("resting", None),
    ],
)
def test_an_hour_in_which_something_happened_is_counted_by_the_rules_of_a_gate(server, service, in_fifth):
    found = counted(server, service)
    usual = Counts(2 * HOUR.total) if service == "half" else HOUR
    assert found.pop(FIFTH) == ((usual,) if in_fifth is None else (in_fifth, usual))
    assert found == {hour: (usual,) * DAYS for hour in range(24) if hour != FIFTH}


@needs_history
def test_all_processes_of_stable_are_counted_and_none_of_another_version(server):
    assert counted(server, "two") == {hour: (Counts(2 * HOUR.total),) * DAYS for hour in range(24)}


@needs_history
def test_slow_ones_are_counted_too_and_metrics_beside_each_other_are_their_own(server):
    slow = metric("slow", kind="slow", source="prometheus", service="timed", slower_than_seconds=0.25)
    other = metric("errors", source="prometheus", service="gap")
    found = by_hour(server, slow, other)
    assert set(found["slow"].values()) == {(Counts(HOUR.total, SCRAPES_AN_HOUR),) * DAYS}
    assert len(found["errors"][FIFTH]) == DAYS - 1


@needs_history
def test_a_process_that_is_gone_promised_what_those_of_its_version_promise(server):
    def of(service: str) -> Metric:
        series = {"total": "orders_received_total", "errors": "order_errors_total"}
        return metric(service, source="prometheus", service=service, series=series)

    found = by_hour(server, of("promising"), of("hiding"))
    assert found["promising"] == dict.fromkeys(range(24), (HOUR,) * DAYS)
    assert found["hiding"] == {}


@needs_history
def test_a_login_is_given_and_a_wrong_one_is_told_without_it(tmp_path):
    known = "Basic cmVhZGVyOm9wZW4tc2VzYW1l"  # reader:open-sesame
    users = f"basic_auth_users: {{reader: '{BCRYPT}'}}\n"
    errors = metric("errors", source="prometheus", service="varying")
    with recorded(tmp_path, [Process("varying", varying)], login=known, users=users) as server:
        inside = history(server.url, errors, authorization=known)
        assert len(asyncio.run(inside.by_hour(UNTIL, 1))["errors"]) == 24
        assert known not in repr(inside)
        outside = history(server.url, errors, authorization="Basic d3Jvbmc=")
        with pytest.raises(EvidenceError, match="got status 401") as caught:
            asyncio.run(outside.by_hour(UNTIL, 1))
        assert "d3Jvbmc" not in str(caught.value)


def test_a_server_that_is_down_or_silent_is_told():
    errors = metric("errors", source="prometheus")
    with pytest.raises(EvidenceError, match="no page: "):
        asyncio.run(history(f"http://127.0.0.1:{free_port()}", errors).by_hour(UNTIL, 1))

    class Silent(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read()  # until the other side gives up

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    with serving(Silent) as port, pytest.raises(EvidenceError, match=r"no page within 0\.2 s"):
        hasty = history(f"http://127.0.0.1:{port}", errors, limits=Limits(seconds=0.2))
        asyncio.run(hasty.by_hour(UNTIL, 1))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"resultType": "vector", "result": []}, "something else than a matrix"),
        ({"resultType": "matrix", "result": [{"metric": {}}]}, "a series is not as expected"),
        ({"resultType": "matrix", "result": [{"metric": {}, "values": [[1, "1"]]}]}, "not as expected"),
    ],
)
def test_another_shape_of_an_answer_is_no_history(data, why):
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "success", "data": data}).encode())

        def log_message(self, *_args: object) -> None:
            """Quiet."""

    with serving(Answer) as port, pytest.raises(EvidenceError, match=why):
        asyncio.run(
            history(f"http://127.0.0.1:{port}", metric("errors", source="prometheus")).by_hour(UNTIL, 1)
        )


def test_the_hours_are_whole_and_end_before_now():
    found = list(whole_hours(datetime.fromisoformat("2026-03-02T14:40:00+02:00"), 1))
    assert found[0] == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert found[-1] == datetime(2026, 3, 2, 11, tzinfo=UTC)
    assert len(found) == 24
