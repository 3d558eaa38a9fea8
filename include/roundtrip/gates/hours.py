"""Hours: what stable did by time of day, and the bounds that a canary without a neighbour is judged by. Pure.

Rules:
1. What is judged is compared with the hours of the day (UTC) that it touches and with the hour on each side of them: a
   rate moves within an hour, and these are what it moves between. FAIL beyond the highest of their bounds, PASS below
   the lowest.
2. An hour that nobody recorded is compared with all that are recorded, by the highest and the lowest of them.
3. An hour's bounds are those of all its days together. Where one day was worse than that by more than chance (its own lower
   bound is above it), that is the bound; so with the best day, below. That makes a bound wider only.
4. The bounds hold for every hour at once: the probabilities to miss are shared out among the hours of a day.

Why the stated probabilities hold: in `comparison` each interval, or block, multiplies the evidence by a factor whose expectation
is 1 at most for every rate up to the bound that it was given, and that bound depends on the time alone. Rule 4 makes the
probability that any bound is on the wrong side of its hour's recorded rate what it was for a single record. So, as there,
they hold jointly as long as stable's rate now would lie between those of the hours that are compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from roundtrip.gates.eprocess import rate_bounds
from roundtrip.gates.evidence import HOURS_OF_A_DAY, Baseline, Counts

ByHour = Mapping[int, tuple[Counts, ...]]
"""hour of the day (UTC) -> what was counted in it, on each day"""


class HourlyBounds:
    """Bounds of stable's rate by hour; each is worked out when it is first asked for."""

    def __init__(self, by_hour: ByHour, miss_above: float, miss_below: float) -> None:
        """`miss_above` and `miss_below`: that stable's rate is above an upper, below a lower bound, in any hour of the day."""
        self._by_hour = by_hour
        self._miss_above, self._miss_below = miss_above / HOURS_OF_A_DAY, miss_below / HOURS_OF_A_DAY
        self._of = lru_cache(maxsize=HOURS_OF_A_DAY)(self._bounds)

    def over(self, began: datetime, begins: float, ends: float) -> tuple[float, float]:
        """The lowest lower and the highest upper bound for these seconds since `began`."""
        hours = compared(self._by_hour, began + timedelta(seconds=begins), began + timedelta(seconds=ends))
        each = [self._of(hour) for hour in hours]
        return min(lower for lower, _ in each), max(upper for _, upper in each)

    def _bounds(self, hour: int) -> tuple[float, float]:
        """Rule 3."""
        days = self._by_hour[hour]
        together = sum(days, Counts())
        lowers = [rate_bounds(counts, self._miss_above)[0] for counts in days]
        uppers = [rate_bounds(counts, self._miss_below)[1] for counts in days]
        lower = rate_bounds(together, self._miss_below)[0]
        upper = rate_bounds(together, self._miss_above)[1]
        return min([lower, *uppers]), max([upper, *lowers])


class Beside:
    """What a canary that runs alone is shown beside: of a baseline by hour the hours that it was compared with so far."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._of = lru_cache(maxsize=HOURS_OF_A_DAY)(self._restricted)

    def over(self, since: datetime, until: datetime) -> Baseline:
        """What of the baseline is compared with in this time; all of it where it is not by hour."""
        by_hour = self._baseline.by_hour
        return self._of(compared(by_hour, since, until)) if by_hour else self._baseline

    def _restricted(self, hours: tuple[int, ...]) -> Baseline:
        whole = self._baseline
        return Baseline.of_hours({hour: whole.by_hour[hour] for hour in hours}, whole.since, whole.until)


def compared(recorded: Iterable[int], since: datetime, until: datetime) -> tuple[int, ...]:
    """The recorded hours that this time is compared with (rules 1 and 2)."""
    there = sorted(recorded)
    hours = touched(since, until)
    if not there:
        raise RuntimeError("no hour is recorded: there is nothing to compare with")
    if any(hour not in there for hour in hours):
        return tuple(there)
    near = {(hour + beside) % HOURS_OF_A_DAY for hour in hours for beside in (-1, 0, 1)}
    return tuple(hour for hour in there if hour in near)


def touched(since: datetime, until: datetime) -> tuple[int, ...]:
    """The hours of the day (UTC) from `since` to `until`, both included."""
    first = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    count = int((until - first) / timedelta(hours=1)) + 1
    return tuple(sorted({(first.hour + one) % HOURS_OF_A_DAY for one in range(min(count, HOURS_OF_A_DAY))}))
