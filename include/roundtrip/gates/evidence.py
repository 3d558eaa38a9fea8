"""Evidence: what was counted on both arms since a gate began, and the verdict that becomes of it.

Rules:
1. Counts are whole, not negative and cumulative since the gate's first sample; anything else is no evidence.
2. A sample says what could not be read. Missing is never zero.
3. A verdict is one of three with a reason that carries the numbers; None means not decided yet.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Literal

from roundtrip.errors import EvidenceError, MetricRenamedError, StaleEvidenceError, TargetVanishedError
from roundtrip.gates.actions import GateAction
from roundtrip.plan.model import Kind

Arm = Literal["canary", "stable"]
ARMS: tuple[Arm, Arm] = ("canary", "stable")

MAX_COUNT = 2**53
"""Above it a float no longer counts by one, and Prometheus text carries floats."""

HOURS_OF_A_DAY = 24


@dataclass(frozen=True)
class Counts:
    """Requests (or orders) of one arm, and how many of them were bad: errors, or too slow."""

    total: int = 0
    bad: int = 0
    """may be above `total` where work is tried again: a queue counts an order once and each failed try"""

    def __post_init__(self) -> None:
        for name, value in (("total", self.total), ("bad", self.bad)):
            if type(value) is not int or not 0 <= value <= MAX_COUNT:
                raise EvidenceError(
                    f"{name}: expected a whole number from 0 to {MAX_COUNT}, got {value!r}",
                    remedy="look at the metrics of the service; a count like that is no evidence",
                )

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.total + other.total, self.bad + other.bad)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.total - other.total, self.bad - other.bad)

    def __str__(self) -> str:
        rate = f" ({100 * self.bad / self.total:.2f} %)" if self.total else ""
        return f"{self.bad} of {self.total}{rate}"

    def to_json(self) -> dict[str, int]:
        return {"total": self.total, "bad": self.bad}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        return cls(data["total"], data["bad"])


def whole(value: float, *, where: str) -> int:
    """A counter's value as a whole number. Raises EvidenceError for NaN, infinite, negative, broken and huge ones."""
    if not math.isfinite(value) or value < 0 or value > MAX_COUNT or value != int(value):
        raise EvidenceError(
            f"expected a whole number from 0 to {MAX_COUNT}, got {value!r}",
            where=where,
            remedy="look at the metrics of the service; a count like that is no evidence",
        )
    return int(value)


@dataclass(frozen=True)
class Baseline:
    """What is recorded of the stable version, for a canary that runs alone. 0 of 0: nothing is recorded."""

    counts: Counts = field(default_factory=Counts)
    since: datetime | None = None
    """from when on it was counted; None where nothing is recorded, or by an older Roundtrip"""
    until: datetime | None = None
    """until when"""
    by_hour: Mapping[int, tuple[Counts, ...]] = field(default_factory=dict)
    """`counts` by hour of the day (UTC), one for each day on which the hour was seen (`hours`); empty: what earlier gates
    counted, in one time only"""

    @classmethod
    def of_hours(
        cls, by_hour: Mapping[int, tuple[Counts, ...]], since: datetime | None, until: datetime | None
    ) -> Baseline:
        """What was counted in these hours of the day."""
        counts = sum((day for days in by_hour.values() for day in days), Counts())
        return cls(counts, since, until, by_hour)

    def __str__(self) -> str:
        if self.counts.total == 0:
            return "recorded of stable: nothing"
        return " ".join(filter(None, ["recorded of stable", self.when(), str(self.counts)]))

    def when(self) -> str:
        """From when until when it was counted, or in which hours of which days; empty where that is not recorded."""
        if not self.by_hour:
            return f"{self.since:%F %T} to {self.until:%F %T} UTC" if self.since and self.until else ""
        days = sorted({len(each) for each in self.by_hour.values()})
        on = (
            f"{days[0]} to {days[-1]} days" if len(days) > 1 else f"{days[0]} day{'s' if days[0] > 1 else ''}"
        )
        when = f" ({self.since:%F %H:%M} to {self.until:%F %H:%M})" if self.since and self.until else ""
        return f"{hours_in_words(self.by_hour)} UTC on {on}{when}"

    def to_json(self) -> dict[str, Any]:
        times = {name: at.isoformat() for name, at in (("since", self.since), ("until", self.until)) if at}
        by_hour = {str(hour): [day.to_json() for day in days] for hour, days in self.by_hour.items()}
        return {**self.counts.to_json(), **times, **({"by_hour": by_hour} if by_hour else {})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Baseline:
        since, until = (
            datetime.fromisoformat(data[name]) if name in data else None for name in ("since", "until")
        )
        by_hour = {  # a recording from before there were any has none
            int(hour): tuple(Counts.from_json(day) for day in days)
            for hour, days in data.get("by_hour", {}).items()
        }
        return cls(Counts.from_json(data), since, until, by_hour)


def hours_in_words(hours: Collection[int]) -> str:
    """Hours of the day: `between 22:00 and 01:00`, `at all hours`; with gaps one range after the other."""
    if len(hours) == HOURS_OF_A_DAY:
        return "at all hours"
    begins = [hour for hour in sorted(hours) if (hour - 1) % HOURS_OF_A_DAY not in hours]
    ranges = []
    for begin in begins:
        end = begin
        while end % HOURS_OF_A_DAY in hours:
            end += 1
        ranges.append(f"between {begin:02}:00 and {end % HOURS_OF_A_DAY:02}:00")
    return " and ".join(ranges)


@dataclass(frozen=True)
class Sample:
    """Both arms at one moment, cumulative since the gate's first sample."""

    number: int
    """0 is the gate's first sample, where all counts are zero"""
    at: datetime
    since: datetime
    """when whoever took it began to watch: a watcher that was killed is not held against the evidence"""
    canary: Mapping[str, Counts]
    """by the metric's name in the plan"""
    stable: Mapping[str, Counts]
    missing: Mapping[str, str] = field(default_factory=dict)
    """`arm/metric` or `guard-rail/name` -> why it could not be read this time; counts are those of the sample before"""
    guard_rails: Mapping[str, float] = field(default_factory=dict)
    """the largest value that a process of the canary's version shows, by guard rail"""
    new_errors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """new kinds of error by guard rail, when they are above its limit: number, type and function, never a message"""
    actions: tuple[GateAction, ...] = ()
    """what people asked of the gate since the sample before"""

    def arm(self, arm: Arm) -> Mapping[str, Counts]:
        return self.canary if arm == "canary" else self.stable

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "since": self.since.isoformat(),
            "canary": {name: counts.to_json() for name, counts in self.canary.items()},
            "stable": {name: counts.to_json() for name, counts in self.stable.items()},
            "missing": dict(self.missing),
            "guard_rails": dict(self.guard_rails),
            "new_errors": {name: list(kinds) for name, kinds in self.new_errors.items()},
            "actions": [one.to_json() for one in self.actions],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Sample:
        return cls(
            data["number"],
            datetime.fromisoformat(data["at"]),
            datetime.fromisoformat(data["since"]),
            {name: Counts.from_json(counts) for name, counts in data["canary"].items()},
            {name: Counts.from_json(counts) for name, counts in data["stable"].items()},
            dict(data["missing"]),
            dict(data.get("guard_rails", {})),  # a recording from before there were any has none
            {name: tuple(kinds) for name, kinds in data.get("new_errors", {}).items()},
            tuple(GateAction.from_json(one) for one in data.get("actions", [])),  # nor of these
        )


class Verdict(Enum):
    """How a gate ends."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Cause(Enum):
    """Why a gate is INCONCLUSIVE; its reason, and each reason in `missing`, begins with the value."""

    TOO_OLD = StaleEvidenceError.cause
    """older than stale_seconds, or no sample was taken for that long"""
    VANISHED = TargetVanishedError.cause
    RENAMED = MetricRenamedError.cause
    UNREADABLE = EvidenceError.cause
    """the source is down, slow, or says what is no count"""
    NO_TRAFFIC = "no-traffic"
    """one arm, or both, had no requests"""
    UNDECIDED = "undecided"
    """both arms were counted, and it was not enough by the deadline"""

    @classmethod
    def of(cls, why: str) -> Cause:
        """What a reason begins with; UNREADABLE when that is none of them."""
        name = why.partition(": ")[0]
        return next((cause for cause in cls if cause.value == name), cls.UNREADABLE)

    def says(self, what: str) -> str:
        """A reason that begins with the cause."""
        return f"{self.value}: {what}"


@dataclass(frozen=True)
class MetricEvidence:
    """Where one metric stands."""

    canary: Counts
    """since the warm-up ended"""
    stable: Counts
    """since the warm-up ended, or what is recorded of it when the canary runs alone"""
    evidence_against: float
    """e-value against "not worse than stable"; capped at MAX_EVIDENCE"""
    against_needed: float
    """at which this metric alone makes the gate FAIL"""
    evidence_for: float
    """e-value against "worse than tolerated"; capped at MAX_EVIDENCE"""
    for_needed: float
    kind: Kind = "errors"
    """what is counted (`kinds`); a verdict from before there were others does not say"""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "canary": self.canary.to_json(), "stable": self.stable.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MetricEvidence:
        canary, stable = Counts.from_json(data["canary"]), Counts.from_json(data["stable"])
        return cls(**{**data, "canary": canary, "stable": stable})


MAX_EVIDENCE = 1e12
"""Shown and recorded evidence ends here; it would not change anybody's mind, and must stay a finite number."""


@dataclass(frozen=True)
class Decision:
    """A verdict, or None and what is missing for one."""

    verdict: Verdict | None
    reason: str
    metrics: Mapping[str, MetricEvidence] = field(default_factory=dict)
    overridden: GateAction | None = None
    """in whose name it is PASS; None when the evidence alone decided"""

    def __post_init__(self) -> None:
        if self.overridden is not None and self.verdict is not Verdict.PASS:
            raise RuntimeError(f"an override makes a PASS and nothing else, got {self.verdict}")

    @property
    def cause(self) -> Cause | None:
        """Why it is INCONCLUSIVE; None for every other decision."""
        return Cause.of(self.reason) if self.verdict is Verdict.INCONCLUSIVE else None


def unread(what: str, silent_seconds: float, stale_seconds: float, why: str | None) -> str:
    """The reason of a gate in which `what` could not be read for too long; `why` is None when no sample was taken."""
    why = why if why is not None else Cause.TOO_OLD.says("no sample was taken")
    cause = Cause.of(why)
    return cause.says(
        f"{what} could not be read for {silent_seconds:.1f} s, stale after {stale_seconds:g} s: "
        f"{why.removeprefix(f'{cause.value}: ')}"
    )
