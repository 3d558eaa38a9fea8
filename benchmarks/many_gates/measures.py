"""What is measured, each from where it is true: processes from the kernel, tasks from Airflow's database, samples and
verdicts from the ledger, lateness from the probe in the triggerer's own event loop."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine, text

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Use:
    """What the process that runs the triggers has used."""

    cpu_seconds: float
    resident_bytes: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Use:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return cls(times.user + times.system, process.memory_info().rss, process.num_threads())


class Probe:
    """What the probe wrote."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pid(self) -> int | None:
        """The process that runs the triggers; None before the probe's first second is over."""
        lines = self._lines()
        return int(lines[-1]["pid"]) if lines else None

    def late(self, begins: float, ends: float) -> list[float]:
        """How late the event loop was, in seconds, each time within these Unix times; sorted."""
        return sorted(late for line in self._lines() if begins <= line["at"] <= ends for late in line["late"])

    def _lines(self) -> list[dict[str, Any]]:
        if not self._file.exists():
            return []
        # The last line may be half written.
        whole = self._file.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


class Tasks:
    """Airflow's task instances, from its database."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url)

    def states(self) -> Counter[str]:
        with self._engine.connect() as connection:
            rows = connection.execute(
                text(
                    "select coalesce(state, 'none'), count(*) from task_instance where dag_id = 'gates' group by 1"
                )
            )
            return Counter({str(state): int(count) for state, count in rows})

    def worker_slots(self) -> int:
        """Tasks of any DAG that wait for a worker or have one."""
        with self._engine.connect() as connection:
            query = text("select count(*) from task_instance where state in ('queued', 'running')")
            return int(connection.execute(query).scalar_one())


class Recorded:
    """The gates in the ledger's file. Its rows are read as they are: an event of each sample would take long."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def count(self, kind: str) -> int:
        return int(self._all("select count(*) from roundtrip_events where kind = ?", kind)[0][0])

    def sampling(self) -> int:
        """Gates with a sample."""
        query = "select count(distinct release) from roundtrip_events where kind = 'gate.sample'"
        return int(self._all(query)[0][0])

    def samples_between(self, begins: float, ends: float) -> int:
        query = "select count(*) from roundtrip_events where kind = 'gate.sample' and at >= ? and at < ?"
        return int(self._all(query, _moment(begins), _moment(ends))[0][0])

    def gaps(self, begins: float, ends: float) -> list[float]:
        """Seconds between each gate's neighbouring samples within these times; sorted."""
        query = (
            "select release, at from roundtrip_events where kind = 'gate.sample' and at >= ? and at < ? "
            "order by release, seq"
        )
        found: list[float] = []
        last: tuple[str, datetime] | None = None
        for release, at in self._all(query, _moment(begins), _moment(ends)):
            now = datetime.fromisoformat(at)
            if last is not None and last[0] == release:
                found.append((now - last[1]).total_seconds())
            last = (release, now)
        return sorted(found)

    def verdicts(self) -> Counter[str]:
        rows = self._all("select data from roundtrip_events where kind = 'gate.verdict'")
        return Counter(str(json.loads(data)["verdict"]) for (data,) in rows)

    def reasons(self) -> list[str]:
        """Reasons of verdicts that are not PASS."""
        rows = self._all("select data from roundtrip_events where kind = 'gate.verdict'")
        decided = [json.loads(data) for (data,) in rows]
        return [str(one["reason"]) for one in decided if one["verdict"] != "PASS"]

    def unread(self) -> int:
        """Samples in which something was missing."""
        query = "select count(*) from roundtrip_events where kind = 'gate.sample' and data not like ?"
        return int(self._all(query, '%"missing":{}%')[0][0])

    def wrongly_numbered(self) -> int:
        """Gates whose samples are not numbered 0, 1, 2, … to what their verdict says, without a gap or a double."""
        numbers: dict[str, list[int]] = {}
        for release, key in self._all("select release, key from roundtrip_events where kind = 'gate.sample'"):
            numbers.setdefault(release, []).append(int(key.rpartition("#")[2]))
        said = {
            release: int(json.loads(data)["samples"])
            for release, data in self._all(
                "select release, data from roundtrip_events where kind = 'gate.verdict'"
            )
        }
        return sum(sorted(found) != list(range(said.get(release, -1))) for release, found in numbers.items())

    def _all(self, query: str, *values: str) -> list[tuple[str, ...]]:
        if not self._path.exists():
            return [("0",)] if "count(" in query else []
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as connection:
            return connection.execute(query, values).fetchall()


def blocked_lines(logs: Path, begins: int = 0) -> int:
    """How often Airflow wrote that its event loop was blocked (0.2 s or more), after so many bytes of the log."""
    log = logs / "triggerer.log"
    return log.read_bytes()[begins:].count(b"async thread was blocked") if log.exists() else 0


def quantile(ordered: Sequence[float], part: float) -> float:
    """NaN of nothing."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else math.nan


def _moment(at: float) -> str:
    """As the ledger stores it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
