"""Reads the account of the generated traffic: how many client requests were sent, answered and failed,
and when.

Rules:
1. Phases are cut by time at whole seconds: `since` is rounded down, `until` up, so that nothing between
   falls out.
2. A summary says how far the account reaches (`covered_until`); one that does not reach its end is not
   complete.
3. No requests is not a good result: `TrafficSummary.is_clean` is False when nothing was sent.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from roundtrip.errors import EvidenceError
from roundtrip.traffic.mix import Order
from roundtrip.traffic.record import read_counts
from roundtrip.traffic.series import FAILURES, ORDERS, SLOW, Second, read_lines, read_seconds

FAILURES_SHOWN = 100
"""how many failures a summary carries; `failed` counts all"""
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Failure:
    """One request that a client saw fail."""

    at: datetime
    sent_at: datetime
    route: str
    reason: str
    """a status, 'connection', 'timeout' or 'abandoned'"""
    version: str
    """'unknown' when no version answered"""


@dataclass(frozen=True)
class Late:
    """One request that was answered as it should be, and slowly."""

    at: datetime
    sent_at: datetime
    route: str
    version: str


@dataclass(frozen=True)
class Placed:
    """One order of the account."""

    order: Order
    at: datetime
    certain: bool
    """True: accepted. False: the answer was lost, the platform may have it or not"""


@dataclass(frozen=True)
class TrafficSummary:
    """The account between two moments."""

    sent: int
    answered: int
    failed: int
    by_status: Mapping[str, int]
    """'route status' or 'route reason' -> requests"""
    by_version: Mapping[str, int]
    failed_by_version: Mapping[str, int]
    slow_by_version: Mapping[str, int]
    """answered, but late"""
    first_failure_at: datetime | None
    failures: tuple[Failure, ...]
    """the first FAILURES_SHOWN"""
    covered_until: datetime | None
    """how far the generator has written its account; None when it never started"""

    @property
    def is_clean(self) -> bool:
        return self.sent > 0 and self.failed == 0

    def to_json(self) -> dict[str, Any]:
        """As the ledger event `traffic.summary` holds it."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "failed": self.failed,
            "by_status": dict(self.by_status),
            "by_version": dict(self.by_version),
            "failed_by_version": dict(self.failed_by_version),
            "slow_by_version": dict(self.slow_by_version),
            "first_failure_at": self.first_failure_at.isoformat() if self.first_failure_at else None,
        }


class TrafficAccount:
    """The reading side of the account in `folder`; may read while the generator writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def summary(self, since: datetime | None = None, until: datetime | None = None) -> TrafficSummary:
        """All requests that were sent or ended in [since, until); None: from the beginning, to the end."""
        first = math.floor(since.timestamp()) if since else -math.inf
        last = math.ceil(until.timestamp()) if until else math.inf
        total = Second(0)
        for second in read_seconds(self._folder):
            if first <= second.at < last:
                total.add(second)
        failures = [f for f in self.failures() if first <= f.at.timestamp() < last]
        return TrafficSummary(
            sent=total.sent.total(),
            answered=total.answered.total(),
            failed=total.failed.total(),
            by_status=dict(sorted((Counter(total.answered) + Counter(total.failed)).items())),
            by_version=dict(sorted(total.by_version.items())),
            failed_by_version=dict(sorted(total.failed_by_version.items())),
            slow_by_version=dict(sorted(total.slow_by_version.items())),
            first_failure_at=failures[0].at if failures else None,
            failures=tuple(failures[:FAILURES_SHOWN]),
            covered_until=self.covered_until(),
        )

    def orders(self, *, certain_only: bool = True) -> Iterator[Placed]:
        """Every order that the platform accepted, oldest first; `certain_only=False`: also those it may
        have."""
        for entry in read_lines(self._folder / ORDERS):
            if entry["certain"] or not certain_only:
                order = Order(
                    entry["order_id"], entry["symbol"], entry["side"], entry["quantity"], entry["price"]
                )
                yield Placed(order, datetime.fromisoformat(entry["at"]), entry["certain"])

    def failures(self) -> Iterator[Failure]:
        """Every request that a client saw fail, oldest first."""
        for entry in read_lines(self._folder / FAILURES):
            at, sent_at = datetime.fromisoformat(entry["at"]), datetime.fromisoformat(entry["sent_at"])
            yield Failure(at, sent_at, entry["route"], entry["reason"], entry["version"])

    def slow(self) -> Iterator[Late]:
        """Every slow answer, oldest first."""
        for entry in read_lines(self._folder / SLOW):
            at, sent_at = datetime.fromisoformat(entry["at"]), datetime.fromisoformat(entry["sent_at"])
            yield Late(at, sent_at, entry["route"], entry["version"])

    def covered_until(self) -> datetime | None:
        """The moment up to which everything is written; None before the first second."""
        at = read_counts(self._folder).get("covered_until")
        return datetime.fromisoformat(at) if at else None

    def wait_covered(self, until: datetime, *, limit_seconds: float) -> None:
        """Return once the account reaches past `until`. Raises EvidenceError after `limit_seconds`."""
        needed = math.ceil(until.timestamp())
        deadline = time.monotonic() + limit_seconds
        while True:
            reached = self.covered_until()
            if reached is not None and reached.timestamp() >= needed:
                return
            if reached is not None and read_counts(self._folder).get("ended"):
                return
            if time.monotonic() >= deadline:
                raise EvidenceError(
                    f"traffic account: expected to reach {until.isoformat()} in {limit_seconds} s, "
                    f"reached {reached}",
                    where=str(self._folder),
                    remedy="look whether the traffic generator runs",
                )
            time.sleep(POLL_SECONDS)
