"""The claims at the head of `eprocess`, checked by adding up all outcomes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.gates.eprocess import Bets, absolute, log_mean, rate_bounds, relative
from roundtrip.gates.evidence import Counts

rates = st.floats(0.0, 1.0)
few = st.integers(1, 12)


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)]


@given(n=few, m=few, stable=rates, part=rates, r=st.floats(1.01, 50))
def test_no_bet_on_worse_wins_on_average_against_a_canary_that_is_no_worse(n, m, stable, part, r):
    canary = stable * part
    mean = math.fsum(
        p * q * math.exp(relative([r], 1.0, Counts(n, x), Counts(m, y))[0])
        for x, p in enumerate(binomial(n, canary))
        for y, q in enumerate(binomial(m, stable))
    )
    assert mean <= 1 + 1e-9


@given(
    requests=st.tuples(few, few), canary=rates, part=rates, k=st.floats(1.01, 5), below=st.floats(0.05, 0.99)
)
def test_no_bet_on_better_wins_on_average_against_a_canary_that_is_worse_than_tolerated(
    requests, canary, part, k, below
):
    n, m = requests
    stable = canary * part / k
    mean = math.fsum(
        p * q * math.exp(relative([below * k], k, Counts(n, x), Counts(m, y))[0])
        for x, p in enumerate(binomial(n, canary))
        for y, q in enumerate(binomial(m, stable))
    )
    assert mean <= 1 + 1e-9


@given(n=few, bound=st.floats(0.001, 1), part=rates, f=st.floats(0.01, 30))
def test_no_bet_on_a_rate_wins_on_average_on_the_other_side_of_its_bound(n, bound, part, f):
    rate = bound * part if f > 1 else bound + (1 - bound) * part
    mean = math.fsum(
        p * math.exp(absolute([f], bound, Counts(n, x))[0]) for x, p in enumerate(binomial(n, rate))
    )
    assert mean <= 1 + 1e-9


@given(
    steps=st.lists(st.tuples(st.floats(-3, 3), st.integers(0, 2)), max_size=12), planned=st.integers(1, 30)
)
def test_restarted_bets_are_the_mixture_that_they_stand_for(steps, planned):
    """Against the same thing written down at length: one wealth for each restart."""
    bets, wealths, restarted, whole = Bets.of((2.0,)), [], 0, 1.0
    for factor, new in steps:
        new = min(new, planned - restarted)  # noqa: PLW2901
        restarted += new
        bets = bets.begun_anew(restarted).grown((factor,))
        wealths = [wealth * math.exp(factor) for wealth in wealths + [1.0] * new]
        whole *= math.exp(factor)
    plain = (whole + (math.fsum(wealths) + planned - restarted) / planned) / 2
    assert math.exp(bets.log_value_with_restarts(planned)) == pytest.approx(plain)
    assert math.exp(bets.log_value()) == pytest.approx(whole)


def test_evidence_far_beyond_a_float_is_still_a_number():
    bets = Bets.of((2.0, 3.0)).grown((5000.0, -5000.0)).begun_anew(3).grown((-9000.0, 9000.0))
    assert math.isfinite(bets.log_value_with_restarts(10))
    assert log_mean([5000.0, -math.inf]) == pytest.approx(5000 - math.log(2))


@given(total=st.integers(1, 10**7), data=st.data())
def test_bounds_hold_the_observed_rate_and_widen_with_certainty(total, data):
    counts = Counts(total, data.draw(st.integers(0, total)))
    low, high = rate_bounds(counts, 0.05)
    wider_low, wider_high = rate_bounds(counts, 0.001)
    assert 0 <= wider_low <= low <= counts.bad / total <= high <= wider_high
    assert high > counts.bad / total


def test_nothing_counted_bounds_nothing():
    assert rate_bounds(Counts(), 0.05) == (0.0, math.inf)


def test_bounds_miss_the_rate_less_often_than_stated_also_when_looked_at_all_the_time():
    dice = random.Random(11)  # noqa: S311
    missed = 0
    for _ in range(300):
        rate, counts = 0.01, Counts()
        for _ in range(40):
            counts += Counts(50, sum(dice.random() < rate for _ in range(50)))
            low, high = rate_bounds(counts, 0.1)
            if not low <= rate <= high:
                missed += 1
                break
    assert missed <= 30
