"""A canary alone against what is recorded of stable by time of day: which hours, which bounds, and how often it is wrong."""

from __future__ import annotations

import json
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from arms import NOON, bad_of, gate, metric, poisson, sample
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.gates.comparison import AloneInBursts, Growth
from roundtrip.gates.eprocess import rate_bounds
from roundtrip.gates.evidence import Baseline, Counts, Decision, Verdict, hours_in_words
from roundtrip.gates.hours import Beside, HourlyBounds, compared, touched
from roundtrip.gates.sequential import Judge
from roundtrip.plan.model import Gate

SINCE, UNTIL = NOON - timedelta(days=7), NOON
DAY_SECONDS = 86_400
COUNTS = st.integers(1, 20_000).flatmap(lambda n: st.integers(0, n // 4).map(lambda x: Counts(n, x)))
BY_HOUR = st.dictionaries(st.integers(0, 23), st.lists(COUNTS, min_size=1, max_size=4).map(tuple), min_size=1)
MOMENTS = st.floats(0, 3 * DAY_SECONDS).map(lambda seconds: NOON + timedelta(seconds=seconds))


def at(hour: int, minute: int = 0, *, day: int = 1) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


def rate_at(second: float) -> float:
    """Stable's rate so many seconds after noon: 0.5 % at noon, twice that at midnight."""
    return 0.0075 - 0.0025 * math.cos(2 * math.pi * second / DAY_SECONDS)


def recorded(dice: random.Random, per_hour: int = 7200) -> Baseline:
    """Seven days of it, hour by hour."""

    def counted(hour: int) -> Counts:
        steps = 12
        seconds = [((hour - 12) % 24 + (step + 0.5) / steps) * 3600 for step in range(steps)]
        each = per_hour // steps
        return Counts(each * steps, sum(bad_of(dice, each, rate_at(second)) for second in seconds))

    by_hour = {hour: tuple(counted(hour) for _ in range(7)) for hour in range(24)}
    return Baseline.of_hours(by_hour, SINCE, UNTIL)


def soak(baseline: Baseline, dice: random.Random, *, times: float = 1.0, settings: Gate) -> Decision:
    """A day of a canary with 2 requests a second, so many times as bad as stable is at that hour."""
    judge, canary = Judge(settings, {"errors": baseline}), Counts()
    state, decision = judge.fold(judge.start(), sample(0, (0, 0), (0, 0)), NOON)
    step = settings.interval_seconds
    for number in range(1, int(DAY_SECONDS / step) + 1):
        n = poisson(dice, 2 * step)
        canary += Counts(n, bad_of(dice, n, times * rate_at((number - 0.5) * step)))
        one = sample(number, (canary.total, canary.bad), (0, 0), seconds=number * step)
        state, decision = judge.fold(state, one, one.at)
        if decision.verdict is not None:
            break
    return decision


def of_a_day(**changes: object) -> Gate:
    times = {"interval_seconds": 300, "stale_seconds": 900, "minimum_seconds": DAY_SECONDS - 300}
    return gate(
        metric(absolute_tolerance=0.0, tolerated_odds=3.0),
        **{**times, "deadline_seconds": DAY_SECONDS, "false_alarm": 0.05, **changes},
    )


@pytest.mark.parametrize(
    "settings", [of_a_day(), of_a_day(noise="bursts", burst_seconds=300)], ids=["independent", "bursts"]
)
def test_a_night_twice_as_bad_is_no_false_alarm_by_the_hour_and_is_one_by_the_minutes_before(settings):
    runs, dice = 60, random.Random(20260301)  # noqa: S311 - a simulation
    by_hour, by_minutes = 0, 0
    for _ in range(runs):
        known = recorded(dice)
        noon = known.by_hour[12]
        minutes = Baseline(sum(noon, Counts()), NOON - timedelta(hours=1), NOON)
        by_hour += soak(known, dice, settings=settings).verdict is Verdict.FAIL
        by_minutes += soak(minutes, dice, settings=settings).verdict is Verdict.FAIL
    assert by_hour <= settings.false_alarm * runs
    assert by_minutes > 0.5 * runs


def test_harm_is_found_at_any_hour_and_what_is_as_good_as_stable_passes():
    dice = random.Random(4)  # noqa: S311 - a simulation
    known = recorded(dice)
    assert soak(known, dice, times=4.0, settings=of_a_day()).verdict is Verdict.FAIL
    good = soak(known, dice, settings=of_a_day())
    assert good.verdict is Verdict.PASS
    assert (
        "recorded of stable at all hours UTC on 7 days (2026-02-22 12:00 to 2026-03-01 12:00)" in good.reason
    )


def test_harm_that_only_the_night_would_excuse_is_found_at_noon():
    """One bound for the whole day would have to be the night's."""
    by_hour = {hour: (Counts(100_000, 5000 if hour in (0, 1, 2) else 100),) for hour in range(24)}
    judge = Judge(gate(), {"errors": Baseline.of_hours(by_hour, SINCE, UNTIL)})
    state, _ = judge.fold(judge.start(), sample(0, (0, 0), (0, 0)), NOON)
    one = sample(1, (2000, 60), (0, 0))
    state, decision = judge.fold(state, one, one.at)
    assert decision.verdict is Verdict.FAIL
    assert "canary 60 of 2000 (3.00 %), recorded of stable between 11:00 and 14:00 UTC on 1 day" in (
        decision.reason
    )


@given(recorded_hours=BY_HOUR, since=MOMENTS, seconds=st.floats(0, 2 * DAY_SECONDS))
def test_no_hour_that_is_touched_has_bounds_outside_those_of_the_time(recorded_hours, since, seconds):
    bounds = HourlyBounds(recorded_hours, 0.005, 0.025)
    lower, upper = bounds.over(since, 0.0, seconds)
    assert lower <= upper
    for hour in touched(since, since + timedelta(seconds=seconds)):
        days = recorded_hours.get(hour)
        if days is not None:
            assert upper >= rate_bounds(sum(days, Counts()), 0.005 / 24)[1]
            assert lower <= rate_bounds(sum(days, Counts()), 0.025 / 24)[0]


@given(
    recorded_hours=BY_HOUR,
    since=MOMENTS,
    times=st.tuples(st.floats(0, DAY_SECONDS), st.floats(0, DAY_SECONDS)).map(sorted),
)
def test_more_time_never_makes_a_bound_tighter(recorded_hours, since, times):
    bounds = HourlyBounds(recorded_hours, 0.005, 0.025)
    (lower, upper), (lowest, highest) = (bounds.over(since, 0.0, seconds) for seconds in times)
    assert lowest <= lower
    assert upper <= highest


def test_a_block_has_the_bounds_of_all_hours_since_it_opened_and_so_has_an_interval_that_was_long():
    by_hour = {hour: (Counts(50_000, 100 + 100 * (hour == 11) + 200 * (hour == 16)),) for hour in range(24)}
    settings = gate(noise="bursts", burst_seconds=600)
    rule = AloneInBursts(metric(), settings, 0.025, Baseline.of_hours(by_hour, SINCE, UNTIL), 0.005)

    def upper(begins: float, ends: float, opens: float | None = None) -> float:
        growth = Growth(begins, ends, Counts(10, 0), Counts(), began=at(12, 50))
        return rule.bounds(growth, opens=opens)[0]

    usual, eleven, sixteen = (rate_bounds(by_hour[hour][0], 0.005 / 24)[1] for hour in (12, 11, 16))
    assert upper(1140, 1200) == usual
    assert upper(1140, 1200, opens=0) == eleven
    assert upper(1140, 2 * 3600 + 1200) == sixteen
    with pytest.raises(RuntimeError, match="is compared with at a time"):
        rule.bounds(Growth(0, 1, Counts(), Counts()))


def test_a_day_that_was_worse_than_chance_widens_the_bound_and_one_that_was_not_does_not():
    calm = (Counts(10_000, 50),) * 6
    alike, other = (
        HourlyBounds({12: (*calm, day)}, 0.005, 0.025).over(NOON, 0, 60)
        for day in (Counts(10_000, 60), Counts(10_000, 500))
    )
    assert alike[1] == rate_bounds(Counts(70_000, 360), 0.005 / 24)[1]
    assert other[1] == rate_bounds(Counts(10_000, 500), 0.005 / 24)[0] > 0.03
    assert other[0] == rate_bounds(Counts(10_000, 50), 0.025 / 24)[1]


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        (at(12, 10), at(12, 40), (12,)),
        (at(12, 10), at(13), (12, 13)),
        (at(23, 59), at(0, 1, day=2), (0, 23)),
        (at(12), at(11, 59, day=2), tuple(range(24))),
        (at(12), at(12, day=4), tuple(range(24))),
    ],
)
def test_hours_are_touched_from_end_to_end(since, until, hours):
    assert touched(since, until) == hours


def test_an_hour_of_another_time_zone_is_the_hour_in_utc():
    since = datetime.fromisoformat("2026-03-01T14:10:00+02:00")
    assert touched(since, since + timedelta(minutes=5)) == (12,)


def test_an_hour_is_compared_with_its_neighbours_and_one_that_nobody_recorded_with_all():
    assert compared(range(24), at(0, 5), at(0, 10)) == (0, 1, 23)
    assert compared((3, 12, 14), at(12, 5), at(12, 10)) == (12,)
    assert compared((3, 12, 14), at(13, 5), at(13, 10)) == (3, 12, 14)
    with pytest.raises(RuntimeError, match="no hour is recorded"):
        compared((), at(12), at(12))


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ((12,), "between 12:00 and 13:00"),
        ((0, 1, 22, 23), "between 22:00 and 02:00"),
        ((3, 4, 23), "between 03:00 and 05:00 and between 23:00 and 00:00"),
        (range(24), "at all hours"),
    ],
)
def test_hours_are_told_as_a_person_says_them(hours, words):
    assert hours_in_words(hours) == words


def test_a_baseline_by_hour_is_told_with_its_days():
    by_hour = {11: (Counts(100, 1), Counts(100, 2)), 12: (Counts(200, 0),), 20: (Counts(7, 7),)}
    whole = Baseline.of_hours(by_hour, SINCE, UNTIL)
    beside = Beside(whole).over(at(12, 10), at(12, 20))
    assert str(beside) == (
        "recorded of stable between 11:00 and 13:00 UTC on 1 to 2 days (2026-02-22 12:00 to 2026-03-01 12:00) 3 of 400 (0.75 %)"
    )
    gates = Baseline(Counts(9, 0), SINCE, UNTIL)
    assert Beside(gates).over(at(12), at(13)) is gates


@given(by_hour=BY_HOUR)
def test_a_baseline_by_hour_is_the_same_after_the_ledger_had_it(by_hour):
    one = Baseline.of_hours(by_hour, SINCE, UNTIL)
    assert Baseline.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_baseline_of_before_there_were_hours_is_read_as_it_was():
    assert Baseline.from_json({"total": 9, "bad": 1}) == Baseline(Counts(9, 1))
    assert "by_hour" not in Baseline(Counts(9, 1)).to_json()
