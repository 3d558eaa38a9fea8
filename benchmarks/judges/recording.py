"""A recording: what the versions of one service were asked and failed in, second by second, as JSON lines; and the
traffic that becomes of it.

Rules:
1. The first line says what was recorded; each further one is a second: for each version and metric what was counted
   in it. A line that covers more than a second (the one after a page that could not be read) is left out: nobody knows
   which of its seconds the counts are of.
2. Only stable is judged: the version with the most requests. Each of its requests goes to the canary's arm with
   probability CANARY_SHARE, drawn anew for each run, so nothing is wrong with that arm, and what came together in
   truth comes together there.
3. Harm is added to that arm: each of its good requests fails with the probability that makes the whole arm's rate the
   asked one. A harm that is not above the recorded rate is none.
4. A run is `seconds` long and begins at a random second; a recording that is shorter begins again at its end. All
   runs are of one recording, so they tell of its traffic only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.judges.traffic import CANARY_SHARE
from roundtrip import durable
from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import Counts
from roundtrip.gates.many import Arms, Ints

RECORDINGS = Path(__file__).parent / "recordings"

MOST_SECONDS_APART = 1.5
"""Lines further apart cover more than one second."""

LEAST_SECONDS = 300
"""Fewer say nothing of bursts."""

ASSUMED_BURST_SECONDS = 10
"""What the judges are told of bursts that nobody has measured."""

Counted = Mapping[str, Mapping[str, Counts]]
"""version -> metric -> what was counted"""


@dataclass(frozen=True, eq=False)
class Recorded:
    """One metric of one recording, as a kind of traffic."""

    name: str
    total: Ints
    """stable's requests, by second"""
    bad: Ints
    left_out: int = 0
    """lines that cover more than a second"""
    seconds: int = 3600
    burst_seconds: int = ASSUMED_BURST_SECONDS
    is_apart: bool = False
    """a split at random gives both arms the same bursts"""

    @property
    def per_second(self) -> float:
        """Requests of the canary's arm."""
        return float(self.total.mean()) * CANARY_SHARE

    @property
    def rate(self) -> float:
        """Stable's share of bad requests."""
        return float(self.bad.sum() / self.total.sum())

    @property
    def dispersion(self) -> float:
        """Variance of the bad ones in ten seconds in parts of what independent requests would have; 1: no bursts."""
        whole = self.total.size // 10 * 10
        total, bad = (each[:whole].reshape(-1, 10).sum(axis=1) for each in (self.total, self.bad))
        expected = total * self.rate
        used = expected > 0
        return float(((bad - expected)[used] ** 2 / expected[used]).mean()) if used.any() else 1.0

    def harmless(self, runs: int, seed: int) -> Arms:
        return self._arms(0.0, runs, seed)

    def harmful(self, rate: float, runs: int, seed: int) -> Arms:
        return self._arms(rate, runs, seed)

    def _arms(self, rate: float, runs: int, seed: int) -> Arms:
        dice = np.random.default_rng([seed, *f"{self.name} {rate}".encode()])
        starts = dice.integers(0, self.total.size, runs)
        at = (starts[:, None] + np.arange(self.seconds)[None, :]) % self.total.size
        total, bad = self.total[at], self.bad[at]
        good = total - bad
        failed, fine = dice.binomial(bad, CANARY_SHARE), dice.binomial(good, CANARY_SHARE)
        added = dice.binomial(fine, max(0.0, (rate - self.rate) / (1 - self.rate)))
        return Arms(failed + fine, failed + added, total - failed - fine, bad - failed)


def heading(service: str, began: datetime, origin: str) -> dict[str, Any]:
    """The first line. `origin` says where the counts are from, without an address."""
    return {"service": service, "began": began.isoformat(), "from": origin}


def line(seconds: float, counted: Counted) -> dict[str, Any]:
    """What was counted in the last `seconds`."""
    versions = {
        version: {name: [one.total, one.bad] for name, one in metrics.items()}
        for version, metrics in counted.items()
    }
    return {"seconds": round(seconds, 3), "counted": versions}


def write(file: Path, head: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> None:
    durable.write(file, "".join(json.dumps(one, sort_keys=True) + "\n" for one in (head, *lines)))


def read(file: Path) -> list[Recorded]:
    """The metrics: errors, and of the others those in which stable had bad requests. Raises EvidenceError."""
    try:
        head, *lines = (json.loads(text) for text in file.read_text(encoding="utf-8").splitlines())
        service = str(head["service"])
        whole = [one["counted"] for one in lines if one["seconds"] <= MOST_SECONDS_APART]
        names = sorted({name for one in whole for metrics in one.values() for name in metrics})
        found = [_metric(f"{file.stem}, {service} {name}", name, whole) for name in names]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"is no recording of traffic: {type(error).__name__}: {error}"
        raise EvidenceError(what, where=str(file), remedy="record it again") from error
    if len(whole) < LEAST_SECONDS:
        raise EvidenceError(
            f"expected {LEAST_SECONDS} whole seconds or more, got {len(whole)}",
            where=str(file),
            remedy="record for longer",
        )
    left_out = len(lines) - len(whole)
    return [
        Recorded(name, total, bad, left_out)
        for name, total, bad in found
        if bad.sum() < total.sum() and (bad.sum() > 0 or name.endswith("errors"))
    ]


def _metric(title: str, name: str, seconds: list[dict[str, Any]]) -> tuple[str, Ints, Ints]:
    """Stable's counts of one metric."""
    versions = {version for one in seconds for version in one}

    def of(version: str) -> Ints:
        each = [_counts(one.get(version, {}).get(name, (0, 0))) for one in seconds]
        return np.array([(one.total, one.bad) for one in each], dtype=np.int64).reshape(-1, 2)

    stable = max((of(version) for version in sorted(versions)), key=lambda each: int(each[:, 0].sum()))
    # A request that ends in the next second may be counted bad there; it was asked here.
    return title, np.maximum(stable[:, 0], stable[:, 1]), stable[:, 1]


def _counts(pair: Iterable[int]) -> Counts:
    total, bad = pair
    return Counts(total, bad)
