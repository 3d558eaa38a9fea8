"""What a Prometheus server recorded of stable, by hour of the day.

Rules:
1. It is counted as a live gate counts: by the same query, the same rules and the same fold, once for each STEP_SECONDS of an
   hour, from its first moment to its last. So a restart is a restart, a half arm is none, and a gap is no zero.
2. An hour of a day counts when its metric could be read in READABLE_SHARE of its steps. One in which nothing was counted says
   nothing of a rate.
3. Processes of one version are alike: what those of now promise, those that are gone did. So one that had no bad request
   yet shows a zero, not an hour to leave out. It is one when the server does not tell what they promise.
4. The first hour that the server does not answer for ends the reading: part of a record, by whatever answered, is no record.

An hour is one request (a range query, whose steps are whole instant queries of that time).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import HOURS_OF_A_DAY, Counts
from roundtrip.gates.fold import RawScrape, Totals, absorb
from roundtrip.gates.prometheus import Prometheus, Question, renamed
from roundtrip.gates.reading import Limits

STEP_SECONDS = 60

READABLE_SHARE = 0.9

HOUR = timedelta(hours=1)

LIMITS = Limits(seconds=10.0, page_bytes=64 * 2**20)
"""What the request for one hour may take."""


@dataclass(frozen=True)
class PrometheusHistory(Prometheus):
    """A Prometheus server's counters of `metrics`, of earlier days."""

    limits: Limits = LIMITS
    _known: dict[str, frozenset[str]] = field(default_factory=dict, init=False, repr=False, compare=False)
    """what a question's processes promise, by its column; asked once"""

    async def by_hour(self, until: datetime, days: int) -> dict[str, dict[int, tuple[Counts, ...]]]:
        """For each metric by hour of the day (UTC) what stable was counted in it, on each day that counts, the oldest first.

        Of the whole hours of that many days before `until`. Raises EvidenceError.
        """
        found: dict[str, dict[int, tuple[Counts, ...]]] = {metric.name: {} for metric in self.metrics}
        for begins in whole_hours(until, days):
            for name, counts in counted(await self._hour(begins), list(found)).items():
                found[name][begins.hour] = (*found[name].get(begins.hour, ()), counts)
        return found

    async def _hour(self, begins: datetime) -> list[RawScrape]:
        """What was seen at each step of the hour."""
        form = {
            "query": self._query,
            "start": f"{begins.timestamp():.0f}",
            "end": f"{(begins + HOUR).timestamp():.0f}",
            "step": str(STEP_SECONDS),
            "timeout": f"{self.limits.seconds:g}s",
        }
        data = await self._ask("query_range", form)
        steps = [begins + timedelta(seconds=one) for one in range(0, 3600 + STEP_SECONDS, STEP_SECONDS)]
        vectors = _vectors(data, [at.timestamp() for at in steps], self.server.url)
        return [await self._seen(at, vector) for at, vector in zip(steps, vectors, strict=True)]

    async def _refuse_unpromised(self, question: Question, lacking: Mapping[str, AbstractSet[str]]) -> None:
        """Rule 3."""
        if question.column not in self._known:
            told = await self._promised(question)
            self._known[question.column] = frozenset[str]().union(*told.values())
        for instance, absent in sorted(lacking.items()):
            for name in sorted(absent - self._known[question.column]):
                raise renamed(name, instance, question)


def whole_hours(until: datetime, days: int) -> Iterator[datetime]:
    """The beginnings of the whole hours (UTC) of so many days before `until`, the oldest first."""
    last = until.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for back in range(days * HOURS_OF_A_DAY, 0, -1):
        yield last - back * HOUR


def counted(scrapes: list[RawScrape], metrics: list[str]) -> dict[str, Counts]:
    """What stable was counted in these scrapes, of the metrics that count (rule 2)."""
    totals: Totals | None = None
    readable = dict.fromkeys(metrics, 0)
    for scrape in scrapes:
        totals = absorb(totals, scrape)
        for name in metrics:
            readable[name] += f"stable/{name}" not in totals.missing
    counts = totals.of("stable", metrics) if totals else {}
    return {
        name: one
        for name, one in counts.items()
        if one.total > 0 and readable[name] >= READABLE_SHARE * len(scrapes)
    }


def _vectors(data: Any, times: list[float], where: str) -> list[list[Mapping[str, Any]]]:
    """A range query's answer as the answers of instant queries of these times. Raises EvidenceError for another shape."""
    if not isinstance(data, Mapping) or data.get("resultType") != "matrix":
        raise EvidenceError("answered a range query with something else than a matrix", where=where)
    vectors: dict[float, list[Mapping[str, Any]]] = {at: [] for at in times}
    try:
        for series in data["result"]:
            for at, value in series["values"]:
                vectors[float(at)].append({"metric": series["metric"], "value": (at, value)})
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(
            f"a series is not as expected: {type(error).__name__}: {error}", where=where
        ) from error
    return list(vectors.values())
