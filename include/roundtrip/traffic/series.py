"""The files of a traffic account, and one second of it: what the writing and the reading side share.

Rules:
1. `orders.jsonl`, `failures.jsonl`, `slow.jsonl` and `seconds.jsonl` only grow, a line an entry. A last line
   without its end is not there.
2. Every request is counted as sent in the second it left, and once more, answered or failed, in the
   second it ended.
   So sent = answered + failed + in flight, always.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ORDERS = "orders.jsonl"
FAILURES = "failures.jsonl"
SLOW = "slow.jsonl"
"""answers that were right and late"""
SECONDS = "seconds.jsonl"
COUNTS = "counts.json"

UNKNOWN_VERSION = "unknown"
_COUNTERS = ("sent", "answered", "failed", "by_version", "failed_by_version", "slow_by_version")


@dataclass
class Second:
    """Counts of one second, or of many added up."""

    at: int
    """its start, in seconds since 1970 UTC; 0 for a sum"""
    sent: Counter[str] = field(default_factory=Counter)
    """by route"""
    answered: Counter[str] = field(default_factory=Counter)
    """by 'route status'"""
    failed: Counter[str] = field(default_factory=Counter)
    """by 'route reason'"""
    by_version: Counter[str] = field(default_factory=Counter)
    """answered and failed, by the version that answered"""
    failed_by_version: Counter[str] = field(default_factory=Counter)
    slow_by_version: Counter[str] = field(default_factory=Counter)
    """answered, and later than a client waits gladly"""

    def add(self, other: Second) -> None:
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))

    def to_json(self) -> dict[str, Any]:
        counts = {name: dict(getattr(self, name)) for name in _COUNTERS}
        return {"at": self.at, **{name: values for name, values in counts.items() if values}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Second:
        return cls(data["at"], **{name: Counter(data.get(name, {})) for name in _COUNTERS})


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a journal, oldest first; none when it is not there yet."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def read_seconds(folder: Path) -> Iterator[Second]:
    """The per-second series in `folder`, oldest first; seconds without a request are not in it."""
    return map(Second.from_json, read_lines(folder / SECONDS))
