"""What the releases of a benchmark came to: a line of JSON each, and what is printed of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live.releasing import Ended

MEDIAN_AND_LATE = (0.5, 0.95)


def seconds(
    found: Sequence[Ended], of: Callable[[Ended], float | None], at: Sequence[float] = MEDIAN_AND_LATE
) -> str:
    """`quantiles` of a time of those that have it."""
    values = [value for one in found if (value := of(one)) is not None]
    return quantiles(values, at) if values else " | ".join([*("–" for _ in at), "–", "0"])


def quantiles(values: Sequence[float], at: Sequence[float] = MEDIAN_AND_LATE) -> str:
    """Cells of a table: each quantile, the worst, and how many there are."""
    each = [f"{value:.2f}" for value in np.quantile(values, at)]
    return " | ".join([*each, f"{max(values):.2f}", str(len(values))])


def between(first: datetime | None, then: datetime | None) -> float | None:
    """Seconds; None where one of both is not known."""
    return (then - first).total_seconds() if first and then else None


def append(file: Path, ended: Ended) -> None:
    """Keep what became of a release."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(ended), default=lambda at: at.isoformat()) + "\n")


def read(file: Path) -> Iterator[Ended]:
    """What was kept, the oldest first."""
    if not file.exists():
        return
    moments = {one.name for one in fields(Ended) if one.name.endswith("_at")}
    for line in file.read_text(encoding="utf-8").splitlines():
        data: dict[str, Any] = json.loads(line)
        values: dict[str, Any] = {
            name: datetime.fromisoformat(value) if name in moments and value else value
            for name, value in data.items()
        }
        yield Ended(**values)
