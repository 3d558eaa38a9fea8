"""A page of Prometheus text, and what it says about one metric of the plan.

Rules:
1. A page that does not parse, and a value that is no count, are an EvidenceError, never a zero.
2. A latency bound has to be one of the histogram's own buckets; between two buckets nothing is known.
3. A process that promises a series and had no request yet shows its type without a sample: that is a zero. One that
   does not promise the counter of errors, or counts without a status code, hides errors: that is no zero.
4. A series that is shown twice is an EvidenceError: it would be counted twice.
5. Work that was finished stands beside the time that its process was there; a process that does not say when it began
   has none. One that shows a start after its own page's moment has a clock that disagrees: no evidence either.
6. A page that differs from one before it in its numbers only has its series: its text is not parsed again (`Outline`).
   Parsing a front door's page takes ten milliseconds, in which a triggerer hears no other gate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample as Series

from roundtrip.errors import EvidenceError, MetricRenamedError
from roundtrip.gates.evidence import Counts, whole
from roundtrip.gates.kinds import MILLISECONDS
from roundtrip.gates.names import SERVER_ERRORS, STARTED, Names
from roundtrip.plan.model import Metric

STATUS_CODE = re.compile(r"[0-9]{3}")
NUMBER = re.compile(r"([0-9]{1,30})|[0-9]{1,30}(?:\.[0-9]{1,30})?(?:e[+-][0-9]{1,3})?")
"""A number as every page writes it, a whole one as a group; the parser is asked about any other, such as NaN."""

MOST_AHEAD_SECONDS = 1.0
"""A process that began later than that after its page's moment did not."""

Labels = Callable[[dict[str, str]], bool]


@dataclass(frozen=True)
class Page:
    """Parsed text, and where it came from."""

    where: str
    series: tuple[Series, ...]
    families: frozenset[str]
    """names that have a type, with and without `_total`"""

    @classmethod
    def parse(cls, text: str, *, where: str) -> Page:
        series: list[Series] = []
        families: set[str] = set()
        try:
            for family in text_string_to_metric_families(text):
                families |= {family.name, f"{family.name}_total"}
                series += family.samples
        except (ValueError, KeyError, IndexError) as error:
            raise EvidenceError(
                f"is not Prometheus text: {error}", where=where, remedy="look at that page in a browser"
            ) from error
        named = {(one.name, tuple(sorted(one.labels.items()))) for one in series}
        if len(named) != len(series):
            raise EvidenceError(
                f"shows {len(series) - len(named)} series twice",
                where=where,
                remedy="look at that page in a browser; what is shown twice would be counted twice",
            )
        return cls(where, tuple(series), frozenset(families))

    def with_values(self, values: Iterable[float]) -> Page:
        """The same series with other values, in their order."""
        series = tuple(
            Series(one.name, one.labels, value) for one, value in zip(self.series, values, strict=True)
        )
        return replace(self, series=series)

    def has(self, names: Names) -> bool:
        return names.total in self.families

    def started(self) -> float | None:
        """Unix time when the process began, when it says so. Raises EvidenceError when that is no time."""
        value = next((one.value for one in self.series if one.name == STARTED), None)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise EvidenceError(f"{STARTED}: expected a time, got {value!r}", where=self.where)
        return value

    def counts(self, metric: Metric, names: Names, counted: Labels, at: float | None = None) -> Counts | None:
        """Counts of `metric` over the series whose labels are counted; None when there is no such series.

        `at` is the Unix time that the page is of; kind throughput needs it.
        """
        if metric.kind == "slow":
            return self._slow(metric, names, counted)
        if metric.kind == "throughput":
            return self._finished(metric, names, counted, at)
        total = self._of(names.total, counted)
        if not total:
            return None
        if metric.kind == "rejected":
            rejected = names.rejected or f"counter of rejected ones beside {names.total}"
            self._refuse_unpromised(rejected, metric)
            errors = self._of(rejected, counted)
        elif names.errors is not None:
            self._refuse_unpromised(names.errors, metric)
            errors = self._of(names.errors, counted)
        else:
            self._refuse_without_code(total, metric)
            errors = [one for one in total if one.labels.get("code") in SERVER_ERRORS]
        return Counts(self._sum(total), self._sum(errors))

    def _slow(self, metric: Metric, names: Names, counted: Labels) -> Counts | None:
        buckets = self._of(f"{names.seconds}_bucket", counted)
        if not buckets:
            self._refuse_unpromised(names.seconds, metric)
            return None
        bound = metric.slower_than_seconds
        all_of_them = [one for one in buckets if self._edge(one) == math.inf]
        quick = [one for one in buckets if self._edge(one) == bound]
        if len(quick) != len(all_of_them):
            known = sorted({one.labels.get("le", "") for one in buckets})
            raise EvidenceError(
                f"{names.seconds}: no bucket at {bound} s, there are {', '.join(known)}",
                where=self.where,
                remedy=f"make slower_than_seconds of metric {metric.name} one of them, or add the bucket",
            )
        total = self._sum(all_of_them)
        # A process may count between the two lines; a negative number of slow ones would be refused.
        return Counts(total, max(0, total - self._sum(quick)))

    def _finished(self, metric: Metric, names: Names, counted: Labels, at: float | None) -> Counts:
        if at is None:
            raise EvidenceError(
                "does not say when it was read: how long its process was there is not known", where=self.where
            )
        self._refuse_unpromised(names.seconds, metric)
        started = self.started()
        if started is None:
            raise MetricRenamedError(
                f"shows no {STARTED}: how long it was there is not known",
                where=self.where,
                remedy=f"let it show one, or leave metric {metric.name} out",
            )
        if started > at + MOST_AHEAD_SECONDS:
            raise EvidenceError(
                f"began {started - at:.0f} s after the moment of its page: the clocks disagree",
                where=self.where,
                remedy="set the clocks of both hosts",
            )
        milliseconds = round(max(0.0, at - started) * MILLISECONDS)
        return Counts(milliseconds, self._sum(self._of(f"{names.seconds}_count", counted)))

    def look(self, metric: Metric) -> Counts:
        """One look at the gauge of `metric`. Raises MetricRenamedError where it is not shown."""
        if metric.gauge is None or metric.higher_than is None:
            raise RuntimeError(f"metric {metric.name} is no gauge")
        remedy = f"name the gauge that it has in metric {metric.name}, or let it show this one"
        return Counts(1, int(self.largest(metric.gauge, remedy=remedy) > metric.higher_than))

    def largest(self, name: str, *, remedy: str) -> float:
        """The largest value of the series. Raises MetricRenamedError when it shows none, EvidenceError for no number."""
        values = [one.value for one in self.series if one.name == name]
        if not values:
            raise MetricRenamedError(f"shows no {name}", where=self.where, remedy=remedy)
        if not all(math.isfinite(value) for value in values):
            raise EvidenceError(f"{name}: expected a finite number, got {values}", where=self.where)
        return max(values)

    def _refuse_without_code(self, series: Iterable[Series], metric: Metric) -> None:
        for one in series:
            code = one.labels.get("code")
            if code is None or not STATUS_CODE.fullmatch(code):
                raise MetricRenamedError(
                    f"{one.name}: expected a label code of three digits, got {code!r}: errors cannot be told",
                    where=self.where,
                    remedy=f"mend the label, or the series of metric {metric.name}",
                )

    def _refuse_unpromised(self, name: str, metric: Metric) -> None:
        if name not in self.families:
            raise MetricRenamedError(
                f"shows no {name}",
                where=self.where,
                remedy=f"name the series that it has in metric {metric.name}, or let it show this one",
            )

    def _edge(self, bucket: Series) -> float:
        text = bucket.labels.get("le", "")
        try:
            return float(text)
        except ValueError as error:
            raise EvidenceError(f"{bucket.name}: bucket {text!r} is no number", where=self.where) from error

    def _of(self, name: str, counted: Labels) -> list[Series]:
        return [one for one in self.series if one.name == name and counted(one.labels)]

    def _sum(self, series: Iterable[Series]) -> int:
        return sum(whole(one.value, where=f"{self.where}: {one.name}{one.labels}") for one in series)


class Outline:
    """Reads the pages of one process, one after the other; remembers the last one that was parsed, but for its numbers."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._page: Page | None = None

    def read(self, text: str, *, where: str) -> Page:
        """What `Page.parse` gives, or raises."""
        lines, values = _outline(text)
        if self._page is not None and self._page.where == where and self._lines == lines:
            return self._page.with_values(values)
        page = Page.parse(text, where=where)
        # Where a line is more than a series and its value, as with a time of its own, every page is parsed.
        is_plain = [(one.value, one.timestamp) for one in page.series] == [(value, None) for value in values]
        self._lines, self._page = (lines, page) if is_plain else ([], None)
        return page


def _outline(text: str) -> tuple[list[str], list[float]]:
    """The lines without the numbers that they end with, and these numbers."""
    lines: list[str] = []
    values: list[float] = []
    for line in text.split("\n"):
        series, space, value = line.rpartition(" ")
        number = NUMBER.fullmatch(value) if space and not line.startswith("#") else None
        if number is None:
            lines.append(line)
        else:
            lines.append(series)
            values.append(int(value) if number[1] else float(value))  # as the parser does
    return lines, values
