"""Fold: from the counters of processes that come, go and restart to counts that only grow.

Rules:
1. What a counter had when the gate began is not counted.
2. A counter that went down, or whose process has a new start time, began again at zero: all it shows is
   counted. What it counted between the last scrape and its end is lost; nobody can know it. One that went down in the
   same process, or whose new start time is long before the gate, when the old process was read, is broken: it stays as it
   was, and the arm is missing. Were it believed, what was counted before the gate would be the gate's.
3. What one look showed (`Reading.is_look`) is added as it is, from the second sample on: intervals lie between two.
4. A process first seen later is counted from zero when its start time is after the gate's beginning, else
   from what it showed first.
5. A process that vanished keeps what it brought. Growth that no front door could serve is no evidence: the
   arm is missing then, and the counter stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from roundtrip.errors import EvidenceError, MetricRenamedError
from roundtrip.gates.evidence import Arm, Counts

MAX_REQUESTS_PER_SECOND = 10_000_000
"""More than that from one process is a broken counter."""

MOST_CLOCK_DIFFERENCE_SECONDS = 3600.0
"""A process that began later than this from now did not; hosts disagree about the time, and about their own start."""


@dataclass(frozen=True)
class Reading:
    """What one process showed for one metric."""

    arm: Arm
    metric: str
    instance: str
    counts: Counts
    """since the process began"""
    started: float | None = None
    """Unix time of the process's start; None when it does not say"""
    absent: bool = False
    """the source answers but has no such series: none yet, or no longer"""
    is_look: bool = False
    """the counts are of this look alone, not since the process began"""

    @property
    def counter(self) -> str:
        return f"{self.arm}/{self.metric}/{self.instance}"

    @property
    def column(self) -> str:
        return f"{self.arm}/{self.metric}"


@dataclass(frozen=True)
class RawScrape:
    """All readings of one moment, and what could not be read."""

    at: datetime
    readings: tuple[Reading, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    """`arm/metric` or `guard-rail/name` -> why, beginning with the cause (`reading.missing_because`)"""
    guard_rails: Mapping[str, float] = field(default_factory=dict)
    """the largest value that a process of the canary's version shows, by guard rail; not folded"""
    new_errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """new kinds of error by guard rail, when they are above its limit: number, type and function, never a message"""


def merged(at: datetime, scrapes: Iterable[RawScrape]) -> RawScrape:
    """Scrapes of several sources as one, of the moment `at`."""
    readings: list[Reading] = []
    missing: dict[str, str] = {}
    guard_rails: dict[str, float] = {}
    new_errors: dict[str, tuple[str, ...]] = {}
    for scrape in scrapes:
        readings += scrape.readings
        missing.update(scrape.missing)
        guard_rails.update(scrape.guard_rails)
        new_errors.update(scrape.new_errors)
    return RawScrape(at, tuple(readings), missing, guard_rails, new_errors)


@dataclass(frozen=True)
class Last:
    """What a counter showed last."""

    counts: Counts
    started: float | None


@dataclass(frozen=True)
class Totals:
    """What was counted since the gate began, and what is needed to go on counting."""

    began: datetime
    counts: Mapping[str, Counts] = field(default_factory=dict)
    """`arm/metric` -> counts since the gate began"""
    last: Mapping[str, Last] = field(default_factory=dict)
    """`arm/metric/instance` -> what it showed last"""
    missing: Mapping[str, str] = field(default_factory=dict)

    def of(self, arm: Arm, metrics: Iterable[str]) -> dict[str, Counts]:
        return {name: self.counts.get(f"{arm}/{name}", Counts()) for name in metrics}

    def to_json(self) -> dict[str, Any]:
        """The counters, for the next watcher; the counts themselves are the sample's."""
        return {key: [one.counts.total, one.counts.bad, one.started] for key, one in self.last.items()}


def counters_from_json(data: Mapping[str, Any]) -> dict[str, Last]:
    return {key: Last(Counts(total, bad), started) for key, (total, bad, started) in data.items()}


def absorb(totals: Totals | None, scrape: RawScrape) -> Totals:
    """`totals` with the growth that `scrape` shows; None when the gate begins with it."""
    if totals is None:
        last = {one.counter: Last(one.counts, one.started) for one in scrape.readings if not one.is_look}
        return Totals(scrape.at, {}, last, dict(scrape.missing))
    totals = replace(totals, missing=dict(scrape.missing))
    for reading in scrape.readings:
        totals = _absorb_one(totals, reading, scrape.at)
    return totals


def _absorb_one(totals: Totals, reading: Reading, at: datetime) -> Totals:
    counted = totals.counts.get(reading.column, Counts())
    if reading.is_look:
        return replace(totals, counts={**totals.counts, reading.column: counted + reading.counts})
    before = totals.last.get(reading.counter)
    growth = _growth(before, reading, totals.began)
    most = MAX_REQUESTS_PER_SECOND * ((at - totals.began).total_seconds() + 1)
    if max(growth.total, growth.bad) > most:
        why = (
            f"{EvidenceError.cause}: {reading.instance} grew by {growth.total} requests and {growth.bad} bad ones: "
            "a broken counter"
        )
        return replace(totals, missing={**totals.missing, reading.column: why})
    broken = _broken(before, reading, totals.began, at)
    if broken:
        why = f"{EvidenceError.cause}: {reading.instance} {broken}"
        return replace(totals, missing={**totals.missing, reading.column: why})
    if _is_gone(before, reading):
        why = f"{MetricRenamedError.cause}: {reading.instance} has no series for it any more"
        return replace(totals, missing={**totals.missing, reading.column: why})
    return Totals(
        totals.began,
        {**totals.counts, reading.column: counted + growth},
        {**totals.last, reading.counter: Last(reading.counts, reading.started)},
        totals.missing,
    )


def _broken(before: Last | None, reading: Reading, began: datetime, at: datetime) -> str:
    """Why a reading cannot be true; empty when it can."""
    if reading.started is None:
        return ""
    if reading.started > at.timestamp() + MOST_CLOCK_DIFFERENCE_SECONDS:
        return f"began {reading.started - at.timestamp():.0f} s from now"
    if before is None or before.started is None:
        return ""
    earliest = max(before.started, began.timestamp() - MOST_CLOCK_DIFFERENCE_SECONDS)
    if reading.started != before.started and reading.started < earliest:
        return f"began at {reading.started:.0f} of all times, at first at {before.started:.0f}"
    fell = reading.counts.total < before.counts.total or reading.counts.bad < before.counts.bad
    if fell and not reading.absent and reading.started == before.started:
        return "counts less than before, in the same process"
    return ""


def _is_gone(before: Last | None, reading: Reading) -> bool:
    """Whether the same process had the series before; it stays missing until it is there again."""
    return (
        reading.absent
        and before is not None
        and before.counts.total > 0
        and before.started == reading.started
    )


def _growth(before: Last | None, reading: Reading, began: datetime) -> Counts:
    now = reading.counts
    if before is None:
        is_new = reading.started is not None and reading.started >= began.timestamp()
        return now if is_new else Counts()
    if reading.started != before.started or now.total < before.counts.total or now.bad < before.counts.bad:
        return now
    return now - before.counts
