"""Days of scrapes that a real Prometheus server has, though it runs for seconds: written as blocks by promtool."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_server import PROGRAM, PrometheusServer, prometheus

PROMTOOL = shutil.which("promtool")
SCRAPE_SECONDS = 30
SCRAPES_AN_HOUR = 3600 // SCRAPE_SECONDS
DAYS = 2

needs_history = pytest.mark.skipif(
    PROGRAM is None or PROMTOOL is None, reason="no prometheus on PATH (a package of Debian)"
)

UNTIL = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
"""The last moment that is recorded: so long ago that the server does not take it for now."""

SINCE = UNTIL - timedelta(days=DAYS)

Shown = dict[str, float]
"""series with its own labels -> value"""

Scraped = Callable[[int], Shown | None]
"""what a process shows at the scrape of this number since SINCE; None: the server did not scrape"""


@dataclass(frozen=True)
class Process:
    """One target of earlier days."""

    service: str
    scraped: Scraped
    version: str = "1.0.0"
    instance: str = "old:1"

    def samples(self) -> Iterator[tuple[str, str]]:
        """Each sample as OpenMetrics has it, with its family."""
        own = f'job="platform",service="{self.service}",version="{self.version}",instance="{self.instance}"'
        for number in range(DAYS * 24 * SCRAPES_AN_HOUR + 1):
            at = int(SINCE.timestamp()) + number * SCRAPE_SECONDS
            for series, value in {"up": 1, **(self.scraped(number) or {"up": -1})}.items():
                if value < 0:  # not scraped: no sample at all
                    continue
                name, _, labels = series.rstrip("}").partition("{")
                yield name, f"{name}{{{own}{',' if labels else ''}{labels}}} {value!r} {at}"


def hour_of(number: int) -> int:
    """The hour that is counted by the growth up to this scrape, since SINCE."""
    return (number - 1) // SCRAPES_AN_HOUR


@contextmanager
def recorded(
    folder: Path,
    processes: list[Process],
    platform: dict[str, list[tuple[str, str]]] | None = None,
    *,
    login: str | None = None,
    users: str = "",
) -> Iterator[PrometheusServer]:
    """A server with these days behind it, and `platform` to scrape now."""
    assert PROMTOOL is not None
    families: dict[str, list[str]] = {}
    for process in processes:
        for name, line in process.samples():
            families.setdefault(name, []).append(line)
    lines = [line for name, each in families.items() for line in (f"# TYPE {name} unknown", *each)]
    text = folder / "days.txt"
    text.write_text("\n".join([*lines, "# EOF", ""]))
    command = [
        PROMTOOL,
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "--quiet",
        str(text),
        str(folder / "data"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    with prometheus(folder, platform or {}, login=login, users=users) as server:
        yield server
