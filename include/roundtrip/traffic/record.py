"""Writes the account of the generated traffic, so that it survives the generator's end at any moment.

Rules:
1. Lines are written in batches, each followed by fsync, at least once a second; `counts.json` is replaced
   as a whole.
2. The journals are the truth. At a start the totals are read from them, and `counts.json` is only a view.
3. A line that a killed generator left unfinished is cut off at the next start, before anything is added.
"""

from __future__ import annotations

import json
import math
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.traffic.mix import Order
from roundtrip.traffic.series import COUNTS, FAILURES, ORDERS, SECONDS, SLOW, Second, read_lines, read_seconds


class Record:
    """The writing side of the account in `folder`. One process at a time.

    An answer that takes longer than `slow_seconds` is counted as slow.
    """

    def __init__(self, folder: Path, *, seed: int, slow_seconds: float = math.inf) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for journal in (ORDERS, FAILURES, SLOW, SECONDS):
            _cut_unfinished_line(folder / journal)
        self.run = read_counts(folder).get("run", 0) + 1
        """how many times a generator was started on this folder"""
        self._seed = seed
        self._slow_seconds = slow_seconds
        self._totals = Second(0)
        for second in read_seconds(folder):
            self._totals.add(second)
        # What a killed generator had in flight will never be counted as answered or failed.
        self._lost = self._in_flight()
        first = next(read_lines(folder / FAILURES), None)
        self._first_failure_at: str | None = first["at"] if first else None
        self._current: Second | None = None
        self._pending: dict[str, list[str]] = {ORDERS: [], FAILURES: [], SLOW: [], SECONDS: []}

    def sent(self, route: str, now: datetime) -> None:
        for second in (self._second(now), self._totals):
            second.sent[route] += 1

    def answered(self, route: str, status: int, version: str, sent_at: datetime, now: datetime) -> None:
        is_slow = (now - sent_at).total_seconds() > self._slow_seconds
        for second in (self._second(now), self._totals):
            second.answered[f"{route} {status}"] += 1
            second.by_version[version] += 1
            if is_slow:
                second.slow_by_version[version] += 1
        if is_slow:
            entry = {"at": now.isoformat(), "sent_at": sent_at.isoformat()}
            self._line(SLOW, {**entry, "route": route, "version": version})

    def failed(self, route: str, reason: str, version: str, sent_at: datetime, now: datetime) -> None:
        """`reason` is a status, 'connection', 'timeout' or 'abandoned'."""
        for second in (self._second(now), self._totals):
            second.failed[f"{route} {reason}"] += 1
            second.by_version[version] += 1
            second.failed_by_version[version] += 1
        self._first_failure_at = self._first_failure_at or now.isoformat()
        entry = {"at": now.isoformat(), "sent_at": sent_at.isoformat()}
        self._line(FAILURES, {**entry, "route": route, "reason": reason, "version": version})

    def order(self, order: Order, *, certain: bool, now: datetime) -> None:
        """An order that was accepted (`certain`), or one of which the client cannot know whether it was."""
        self._line(ORDERS, {"at": now.isoformat(), **order.body(), "certain": certain})

    def flush(self, now: datetime, *, ended: bool = False) -> None:
        """Write all that is finished before `now`; the current second too when the generator has `ended`."""
        if self._current is not None and (ended or int(now.timestamp()) > self._current.at):
            self._close_second()
        for journal, lines in self._pending.items():
            if lines:
                _append(self._folder / journal, lines)
                lines.clear()
        durable.write_json(self._folder / COUNTS, self._counts(now, ended=ended))

    def _counts(self, now: datetime, *, ended: bool) -> dict[str, Any]:
        totals = {name: counts for name, counts in self._totals.to_json().items() if name != "at"}
        return {
            "run": self.run,
            "seed": self._seed,
            "covered_until": now.isoformat(),
            "ended": ended,
            "sent_total": self._totals.sent.total(),
            "answered_total": self._totals.answered.total(),
            "failed_total": self._totals.failed.total(),
            "lost_in_flight": self._lost,
            "first_failure_at": self._first_failure_at,
            **totals,
        }

    def _in_flight(self) -> int:
        return self._totals.sent.total() - self._totals.answered.total() - self._totals.failed.total()

    def _second(self, now: datetime) -> Second:
        at = int(now.timestamp())
        if self._current is not None and at > self._current.at:
            self._close_second()
        if self._current is None:
            self._current = Second(at)
        return self._current

    def _close_second(self) -> None:
        if self._current is not None:
            self._line(SECONDS, self._current.to_json())
        self._current = None

    def _line(self, journal: str, entry: dict[str, Any]) -> None:
        self._pending[journal].append(json.dumps(entry, separators=(",", ":")) + "\n")


def read_counts(folder: Path) -> dict[str, Any]:
    """`counts.json` of `folder`; empty before the first second."""
    path = folder / COUNTS
    if not path.exists():
        return {}
    counts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return counts


def _append(path: Path, lines: list[str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())


def _cut_unfinished_line(path: Path) -> None:
    if not path.exists():
        return
    data = path.read_bytes()
    if data and not data.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(data.rfind(b"\n") + 1)
