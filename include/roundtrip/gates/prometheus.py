"""Prometheus: reads the counters of both arms from a Prometheus server.

Rules:
1. One instant query a sample, for the sample's moment: so both arms and all metrics are of one moment of the
   server. Cumulative counters are asked for, never `rate`: the fold counts, and knows of restarts.
2. The server answers with what it saw last, up to five minutes ago. So each series' own time is asked for beside
   it, and one older than stale_seconds is no evidence.
3. The processes of an arm are those whose `up` has its labels. One that is down makes the arm missing; half an arm
   is no evidence about the whole. One that the server knows no longer keeps what it brought.
4. A process without a series that promises it (its TYPE line, the server's metadata) had no request yet: a zero. One
   that does not promise it has renamed it. For a proxy's series, which nobody promises, the other arm's show that
   the proxy is still scraped.
5. A partial answer, one with a warning, an error or another shape is no evidence.

Sources: Prometheus' documentation of its HTTP API (instant queries, target metadata) and of staleness.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import httpx
from prometheus_client.samples import Sample as OneSeries

from roundtrip.errors import EvidenceError, MetricRenamedError, StaleEvidenceError, TargetVanishedError
from roundtrip.gates.evidence import ARMS, Arm, Counts
from roundtrip.gates.fold import RawScrape, Reading
from roundtrip.gates.names import STARTED, Names, is_of_users
from roundtrip.gates.page import Page
from roundtrip.gates.reading import Limits, Versions, all_missing, fetch, missing_because
from roundtrip.plan.model import Metric, Series

UP = "up"
"""1 for each target that the server scraped last, 0 for one that did not answer."""

_QUESTION, _TIME_OF = "roundtrip_question", "roundtrip_time_of"
"""Labels that the query puts on the answer: which question a series answers, and whose time it is."""


@dataclass(frozen=True)
class Server:
    """Where the server is."""

    url: str
    """base address; the interface is below it at /api/v1"""
    authorization: str | None = field(default=None, repr=False)
    """value of the Authorization header; None: it asks for none"""


@dataclass(frozen=True)
class Question:
    """One arm of one metric, in the server's terms."""

    metric: Metric
    arm: Arm
    version: str

    @property
    def column(self) -> str:
        return f"{self.arm}/{self.metric.name}"

    @property
    def series(self) -> Series:
        return self.metric.series or Series()

    @property
    def names(self) -> Names:
        return Names(self.series.total, self.series.errors, self.series.seconds)

    @property
    def counted(self) -> tuple[str, ...]:
        """The series whose values are counted, each of which has to be fresh."""
        if self.metric.gauge is not None:
            return (self.metric.gauge,)
        if self.metric.kind in ("slow", "throughput"):
            return (f"{self.series.seconds}_{'bucket' if self.metric.kind == 'slow' else 'count'}",)
        return (self.series.total, *([self.series.errors] if self.series.errors else []))

    @property
    def selector(self) -> str:
        """The labels of this arm, as PromQL has them between braces."""
        labels = {
            label: Series.filled_in(text, self.metric.service, self.version)
            for label, text in sorted(self.series.labels.items())
        }
        return ",".join(f"{label}={json.dumps(value)}" for label, value in labels.items())

    def query(self, number: int) -> str:
        own = () if self.series.of_proxy else (UP, STARTED)
        named = "|".join((*self.counted, *own))
        values = f'{{__name__=~"{named}",{self.selector}}}'
        timed = (*self.counted, *own[:1])
        parts = [
            values,
            *(_labelled(f"timestamp({name}{{{self.selector}}})", _TIME_OF, name) for name in timed),
        ]
        return " or ".join(_labelled(part, _QUESTION, str(number)) for part in parts)


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus server's counters of `metrics`."""

    server: Server
    metrics: tuple[Metric, ...]
    versions: Versions
    stale_seconds: float
    limits: Limits = field(default_factory=Limits)

    async def read(self, at: datetime) -> RawScrape:
        try:
            return await self._seen(at, await self._values(at))
        except EvidenceError as error:
            return RawScrape(at, (), all_missing(self.metrics, error))

    @cached_property
    def _questions(self) -> list[Question]:
        return [Question(m, arm, self.versions.of(arm)) for m in self.metrics for arm in ARMS]

    @cached_property
    def _query(self) -> str:
        return " or ".join(question.query(number) for number, question in enumerate(self._questions))

    async def _seen(self, at: datetime, result: Iterable[Mapping[str, Any]]) -> RawScrape:
        """What the result of the query says of the moment `at`. Raises EvidenceError for one of another shape."""
        questions = self._questions
        answers = _by_question(result, len(questions))
        readings: list[Reading] = []
        missing: dict[str, str] = {}
        found = await asyncio.gather(
            *(
                self._readings(question, answer, at, _other_arm(questions, answers, question))
                for question, answer in zip(questions, answers, strict=True)
            )
        )
        for question, one in zip(questions, found, strict=True):
            if isinstance(one, EvidenceError):
                missing[question.column] = missing_because(one)
            else:
                readings += one
        return RawScrape(at, tuple(readings), missing)

    async def _readings(
        self, question: Question, answer: _Answer, at: datetime, other: _Answer
    ) -> list[Reading] | EvidenceError:
        where = f"{self.server.url}: {question.selector}"
        try:
            answer.refuse_old(at, self.stale_seconds, where)
            if question.series.of_proxy:
                return _of_proxy(question, answer, where, other)
            scraped = _scraped(answer.instances(question.series, where, only=(UP,)), where)
            found = answer.instances(question.series, where)
            lacking: dict[str, set[str]] = {
                instance: absent
                for instance in scraped
                if (absent := set(question.counted) - {one.name for one in found[instance]})
            }
            if lacking:
                await self._refuse_unpromised(question, lacking)
            times = answer.times_of(UP, question.series, where)
            return [
                _reading(question, found[instance], instance, where, times.get(instance))
                for instance in scraped
            ]
        except EvidenceError as error:
            return error

    async def _values(self, at: datetime) -> list[Mapping[str, Any]]:
        form = {"query": self._query, "time": f"{at.timestamp():.3f}", "timeout": f"{self.limits.seconds:g}s"}
        data = await self._ask("query", form)
        if not isinstance(data, Mapping) or data.get("resultType") != "vector":
            raise EvidenceError("answered a query with something else than a vector", where=self.server.url)
        result = data.get("result")
        if not isinstance(result, list):
            raise EvidenceError("answered a query without a result", where=self.server.url)
        return result

    async def _refuse_unpromised(self, question: Question, lacking: Mapping[str, AbstractSet[str]]) -> None:
        """Raises MetricRenamedError when a process does not promise a series that it lacks (rule 4)."""
        promised = await self._promised(question)
        for instance, absent in sorted(lacking.items()):
            for name in sorted(absent - promised.get(instance, set())):
                raise renamed(name, instance, question)

    async def _promised(self, question: Question) -> dict[str, set[str]]:
        """By process the names that it promises. Raises EvidenceError."""
        told = await self._ask(f"targets/metadata?{_encoded(question)}")
        promised: dict[str, set[str]] = {}
        try:
            for one in told:
                instance = _instance(one["target"], question.series, self.server.url)
                # OpenMetrics names a counter without its ending, and both formats a histogram without _bucket or _count.
                names = {f"{one['metric']}{ending}" for ending in ("", "_total", "_bucket", "_count")}
                promised.setdefault(instance, set()).update(names)
        except (KeyError, TypeError) as error:
            raise EvidenceError("does not tell what its targets promise", where=self.server.url) from error
        return promised

    async def _ask(self, path: str, form: Mapping[str, str] | None = None) -> Any:
        url = f"{self.server.url.rstrip('/')}/api/v1/{path}"
        status, body = await fetch(url, self.limits, form=form, authorization=self.server.authorization)
        try:
            answer = json.loads(body)
            told = answer.get("error", "")
        except (ValueError, AttributeError, RecursionError) as error:
            raise EvidenceError(
                f"expected an answer of Prometheus, got status {status} and something else",
                where=url,
                remedy="look whether the address is a Prometheus server's, and whether it lets us in",
            ) from error
        if status != httpx.codes.OK or answer.get("status") != "success" or answer.get("warnings"):
            raise EvidenceError(
                f"expected a whole answer, got status {status}: {told or answer.get('warnings') or 'no reason'}",
                where=url,
                remedy="look into the log of the Prometheus server",
            )
        return answer.get("data")


@dataclass(frozen=True)
class _Answer:
    """The series that answer one question."""

    values: tuple[OneSeries, ...]
    times: tuple[OneSeries, ...]
    """value is the Unix time of the series' last sample"""

    def refuse_old(self, at: datetime, stale_seconds: float, where: str) -> None:
        """Raises StaleEvidenceError for the oldest sample when it is too old (rule 2)."""
        timeless = (
            {one.name for one in self.values} - {STARTED} - {one.labels[_TIME_OF] for one in self.times}
        )
        if timeless:
            raise EvidenceError(f"does not tell the time of {', '.join(sorted(timeless))}", where=where)
        oldest = min(self.times, key=lambda one: one.value, default=None)
        if oldest is None:
            return
        age = at.timestamp() - oldest.value
        if not age <= stale_seconds:
            raise StaleEvidenceError(
                f"{oldest.labels[_TIME_OF]} was scraped {age:.1f} s ago, no evidence after {stale_seconds:g} s",
                where=where,
                remedy="scrape more often than that, and look whether the server's clock is right",
            )

    def times_of(self, name: str, series: Series, where: str) -> dict[str, float]:
        """Unix time of the last sample of this name, by process. Raises EvidenceError."""
        return {
            _instance(one.labels, series, where): one.value
            for one in self.times
            if one.labels[_TIME_OF] == name
        }

    def instances(
        self, series: Series, where: str, only: Collection[str] | None = None
    ) -> dict[str, list[OneSeries]]:
        """The series by process; `only` those names."""
        found: dict[str, list[OneSeries]] = {}
        for one in self.values:
            if only is None or one.name in only:
                found.setdefault(_instance(one.labels, series, where), []).append(one)
        return found


def renamed(name: str, where: str, question: Question) -> MetricRenamedError:
    remedy = f"name the series that it has in metric {question.metric.name}"
    return MetricRenamedError(f"shows no {name}", where=where, remedy=remedy)


def _scraped(targets: Mapping[str, Sequence[OneSeries]], where: str) -> list[str]:
    """The processes of an arm. Raises TargetVanishedError when there are none, or one is down (rule 3)."""
    if not targets:
        raise TargetVanishedError(
            "the server scrapes no target with these labels",
            where=where,
            remedy="put the labels on the targets, or say of_proxy when a proxy shows the series",
        )
    for instance, ups in sorted(targets.items()):
        if any(one.value != 1 for one in ups):
            raise TargetVanishedError(f"{instance} did not answer the server's last scrape", where=where)
    return sorted(targets)


def _reading(
    question: Question, found: Sequence[OneSeries], instance: str, where: str, at: float | None = None
) -> Reading:
    """What the series of one process say, which were scraped at `at`."""
    page = _page(question, found, where)
    if question.metric.kind == "gauge":
        look = page.look(question.metric)
        return Reading(question.arm, question.metric.name, instance, look, is_look=True)
    counts = page.counts(question.metric, question.names, is_of_users, at)
    return Reading(
        question.arm,
        question.metric.name,
        instance,
        counts or Counts(),
        started=page.started(),
        absent=counts is None,
    )


def _of_proxy(question: Question, answer: _Answer, where: str, other: _Answer) -> list[Reading]:
    """Zero for an instance of the proxy that shows the other arm only; missing where none shows this one any more."""
    here = answer.instances(question.series, where)
    proxies = {*here, *other.instances(question.series, where)}
    if not proxies:
        raise MetricRenamedError(
            f"no series {' or '.join(question.counted)} with these labels, and none of the other version",
            where=where,
            remedy=f"look at the labels of metric {question.metric.name}, and whether the proxy is scraped",
        )
    zero = Reading(question.arm, question.metric.name, "", Counts(), absent=True)
    return [
        _reading(question, here[instance], instance, where)
        if instance in here
        else replace(zero, instance=instance)
        for instance in sorted(proxies)
    ]


def _other_arm(questions: Sequence[Question], answers: Sequence[_Answer], question: Question) -> _Answer:
    """The answer for the other arm of the same metric."""
    return next(
        answer
        for other, answer in zip(questions, answers, strict=True)
        if other.metric is question.metric and other.arm != question.arm
    )


def _by_question(result: Iterable[Mapping[str, Any]], count: int) -> list[_Answer]:
    """The result's series by the question that they answer. Raises EvidenceError for another shape."""
    values: list[list[OneSeries]] = [[] for _ in range(count)]
    times: list[list[OneSeries]] = [[] for _ in range(count)]
    try:
        for one in result:
            labels = {str(label): str(value) for label, value in one["metric"].items()}
            number, value = int(labels.pop(_QUESTION)), float(one["value"][1])
            into = times if _TIME_OF in labels else values
            into[number].append(OneSeries(labels.pop("__name__", ""), labels, value))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise EvidenceError(f"a series is not as expected: {type(error).__name__}: {error}") from error
    return [_Answer(tuple(a), tuple(b)) for a, b in zip(values, times, strict=True)]


def _page(question: Question, found: Sequence[OneSeries], where: str) -> Page:
    """The series as a page of one process, with the status code where pages have it.

    What the process promises was asked of the server (rule 4); a proxy promises nothing but what it shows.
    """
    series = question.series
    with_code = [
        one._replace(labels={**one.labels, "code": one.labels[series.code_label]})
        if series.code_label in one.labels
        else one
        for one in found
    ]
    names = {one.name for one in found}
    promised = names if series.of_proxy else {*names, *question.counted, series.seconds}
    return Page(where, tuple(with_code), frozenset(promised))


def _instance(labels: Mapping[str, str], series: Series, where: str) -> str:
    """The process that a series is of. Raises EvidenceError: a sum over processes falls when one of them goes."""
    if series.instance_label not in labels:
        raise EvidenceError(
            f"a series has no label {series.instance_label}: processes that come and go cannot be told apart",
            where=where,
            remedy="give the label that tells processes apart as instance_label, and no sums of them",
        )
    job = labels.get("job")
    return f"{job}/{labels[series.instance_label]}" if job else labels[series.instance_label]


def _labelled(query: str, label: str, value: str) -> str:
    return f'label_replace({query}, "{label}", "{value}", "", "")'


def _encoded(question: Question) -> str:
    return str(httpx.QueryParams({"match_target": f"{{{question.selector}}}"}))
