"""What a page of Prometheus text says about a metric, and what it does not say."""

from __future__ import annotations

import pytest
from arms import metric
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from roundtrip.errors import EvidenceError, MetricRenamedError
from roundtrip.gates.evidence import Counts
from roundtrip.gates.names import SERVICES
from roundtrip.gates.page import Page

ORDERS, HTTP = SERVICES
SLOW = metric("slow", kind="slow", slower_than_seconds=0.25)


def everything(_labels: dict[str, str]) -> bool:
    return True


def page(text: str) -> Page:
    return Page.parse(text, where="page")


def test_errors_are_the_answers_with_a_5xx_code():
    text = """# TYPE http_requests_total counter
http_requests_total{method="GET",route="/api/risk",code="200"} 90
http_requests_total{method="POST",route="/api/orders",code="400"} 5
http_requests_total{method="POST",route="/api/orders",code="500"} 3
http_requests_total{method="POST",route="/api/orders",code="504"} 2
"""
    assert page(text).counts(metric(), HTTP, everything) == Counts(100, 5)
    assert page(text).counts(metric(), HTTP, lambda labels: labels["method"] == "GET") == Counts(90, 0)


def test_slow_ones_are_those_above_the_bucket_of_the_bound():
    registry = CollectorRegistry()
    seconds = Histogram(
        "http_request_duration_seconds", "t", ["route"], buckets=[0.1, 0.25], registry=registry
    )
    for value in (0.01, 0.2, 0.3, 5.0):
        seconds.labels(route="/api/orders").observe(value)
    seconds.labels(route="/api/risk").observe(0.01)
    shown = page(generate_latest(registry).decode())
    assert shown.counts(SLOW, HTTP, everything) == Counts(5, 2)
    between = metric("slow", kind="slow", slower_than_seconds=0.2)
    with pytest.raises(EvidenceError, match=r"no bucket at 0\.2 s, there are \+Inf, 0\.1, 0\.25"):
        shown.counts(between, HTTP, everything)


def test_a_worker_counts_orders_and_may_fail_one_more_than_once():
    registry = CollectorRegistry()
    received = Counter("orders_received_total", "t", registry=registry)
    errors = Counter("order_errors_total", "t", registry=registry)
    assert page(generate_latest(registry).decode()).counts(metric(), ORDERS, everything) == Counts(0, 0)
    received.inc(3)
    errors.inc(7)
    assert page(generate_latest(registry).decode()).counts(metric(), ORDERS, everything) == Counts(3, 7)


def test_a_type_without_a_sample_promises_the_series():
    shown = page("# TYPE http_requests_total counter\n")
    assert shown.has(HTTP)
    assert not shown.has(ORDERS)
    assert shown.counts(metric(), HTTP, everything) is None


@pytest.mark.parametrize(
    ("text", "one", "names", "problem"),
    [
        ("orders_received_total 3\n", metric(), ORDERS, "shows no order_errors_total"),
        (
            'http_requests_total{status="500"} 3\n',
            metric(),
            HTTP,
            "expected a label code of three digits, got None",
        ),
        (
            'http_requests_total{code="5xx"} 3\n',
            metric(),
            HTTP,
            "expected a label code of three digits, got '5xx'",
        ),
        ('http_requests_total{code="200"} 3\n', SLOW, HTTP, "shows no http_request_duration_seconds"),
    ],
)
def test_a_page_that_could_not_show_a_bad_one_is_no_evidence_that_there_was_none(text, one, names, problem):
    with pytest.raises(MetricRenamedError, match=problem):
        page(text).counts(one, names, everything)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-3", "1e300", "0.5"])
def test_a_value_that_is_no_count_is_an_error_and_no_zero(value):
    text = f'# TYPE http_requests_total counter\nhttp_requests_total{{code="200"}} {value}\n'
    with pytest.raises(EvidenceError, match="expected a whole number"):
        page(text).counts(metric(), HTTP, everything)


@pytest.mark.parametrize("text", ["<html>not found</html>", "http_requests_total{code=", "a b c d"])
def test_a_page_that_is_something_else_is_an_error(text):
    with pytest.raises(EvidenceError, match="is not Prometheus text"):
        page(text)


def test_a_series_that_is_shown_twice_is_an_error():
    line = 'http_requests_total{code="200"} 5\n'
    with pytest.raises(EvidenceError, match="shows 1 series twice"):
        page("# TYPE http_requests_total counter\n" + line + line)


REAL = """# TYPE http_requests_total counter
http_requests_total{code="200",route="/a"} 5.0
http_requests_total{code="500",route="/a"} 1.0
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.25",route="/a"} 1.0
http_request_duration_seconds_bucket{le="+Inf",route="/a"} 1.0
"""
edits = st.lists(
    st.tuples(st.integers(0, len(REAL) - 1), st.integers(0, 2), st.sampled_from('{}",=\\\n 0-1.eNaIn+#_é\0')),
    max_size=5,
)


@given(edits=edits)
def test_a_damaged_page_is_a_page_or_an_evidence_error(edits):
    text = REAL
    for position, length, put in edits:
        text = text[:position] + put + text[position + length :]
    for one in (metric(), SLOW):
        try:
            found = page(text).counts(one, HTTP, everything)
        except EvidenceError as error:
            assert error.where.startswith("page")
        else:
            assert found is None or isinstance(found, Counts)
