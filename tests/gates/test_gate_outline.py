"""A page whose numbers alone changed is not parsed again, and reads as if it had been."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from roundtrip.errors import EvidenceError
from roundtrip.gates.page import Outline, Page

LINES = (
    "# TYPE a_total counter",
    "# HELP a_total 5",
    'a_total{code="200"} {}',
    'a_total{code="500"} {}',
    'a_total{code="2 5"} {}',
    "# TYPE b gauge",
    "b {}",
    "b {} {}",
    'c{le="+Inf"}  {}',
    "d\t{}",
    "untyped {}",
    " indented {}",
    "broken{ {}",
    'e{x="1"} {} # {y="2"} {}',
    "",
)
NUMBERS = (
    "0",
    "1",
    "5",
    "12",
    "1.5",
    "1e+06",
    "1.5e+06",
    "-1",
    "NaN",
    "+Inf",
    "1_0",
    "five",
    "9007199254740993",
    "5\r",
)


def _filled(line: str, numbers: list[str]) -> str:
    for number in numbers:
        line = line.replace(" {}", f" {number}", 1).replace("\t{}", f"\t{number}", 1)
    return line


def _pages() -> st.SearchStrategy[str]:
    line = st.builds(
        _filled, st.sampled_from(LINES), st.lists(st.sampled_from(NUMBERS), min_size=2, max_size=2)
    )
    return st.lists(line, max_size=6).map("\n".join)


def _same_lines_other_numbers() -> st.SearchStrategy[list[str]]:
    def pages(lines: list[str]) -> st.SearchStrategy[list[str]]:
        page = st.tuples(
            *(
                st.builds(_filled, st.just(line), st.lists(st.sampled_from(NUMBERS), min_size=2, max_size=2))
                for line in lines
            )
        ).map("\n".join)
        return st.lists(page, min_size=2, max_size=4)

    return st.lists(st.sampled_from(LINES), max_size=5, unique=True).flatmap(pages)


def _read(read: object, text: str) -> object:
    """What is read, with the types of its numbers; or why it is not."""
    try:
        page = read(text)  # type: ignore[operator]
    except EvidenceError as error:
        return str(error)
    # NaN is not equal to itself, and 5 is not 5.0 above 2**53.
    return [(one.name, one.labels, repr(one.value)) for one in page.series], page.families, page.where


@given(st.one_of(_same_lines_other_numbers(), st.lists(_pages(), min_size=2, max_size=4)))
@example(["b 1 1", "b 1 2"])
@example(["a 9007199254740992", "a 9007199254740993"])
def test_an_outline_reads_every_page_as_the_parser_does(texts: list[str]):
    outline = Outline()
    for text in texts:
        assert _read(lambda text: outline.read(text, where="x"), text) == _read(
            lambda text: Page.parse(text, where="x"), text
        )


def _registry() -> tuple[CollectorRegistry, Counter]:
    registry = CollectorRegistry()
    counter = Counter("http_requests_total", "t", ["code"], registry=registry)
    counter.labels("200").inc(3)
    Histogram("http_request_duration_seconds", "t", registry=registry).observe(0.01)
    Gauge("kill_switch", "t", registry=registry).set(0)
    return registry, counter


def test_a_page_of_a_real_process_is_parsed_until_it_shows_another_series():
    registry, counter = _registry()
    outline = Outline()

    def read() -> Page:
        counter.labels("200").inc(7)
        text = generate_latest(registry).decode()
        page = outline.read(text, where="x")
        assert page == Page.parse(text, where="x")
        return page

    first, second = read(), read()
    assert second != first
    assert all(one.labels is two.labels for one, two in zip(first.series, second.series, strict=True))
    counter.labels("500").inc()
    third = read()
    assert len(third.series) == len(second.series) + 2
    assert third.series[0].labels is not second.series[0].labels


def test_a_page_that_is_broken_after_a_good_one_is_refused():
    registry, _ = _registry()
    text = generate_latest(registry).decode()
    outline = Outline()
    outline.read(text, where="x")
    with pytest.raises(EvidenceError, match="is not Prometheus text"):
        outline.read(text.replace("kill_switch 0.0", "kill_switch off"), where="x")
    with pytest.raises(EvidenceError, match="shows 1 series twice"):
        outline.read(text + "kill_switch 0.0\n", where="x")
