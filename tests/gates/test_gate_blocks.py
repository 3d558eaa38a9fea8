"""The claims at the head of `blocks`, checked by adding up all outcomes, and what they make of a gate."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from arms import NOON, first_verdict, gate, judged, metric, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.gates.blocks import (
    BLOCK_BURSTS,
    GUARD_BURSTS,
    MEAN_STAKES,
    Block,
    above,
    as_bad,
    bounded,
    thinned,
    times_as_bad,
)
from roundtrip.gates.comparison import Lull
from roundtrip.gates.eprocess import relative
from roundtrip.gates.evidence import Baseline, Counts, Sample, Verdict
from roundtrip.gates.history import judged as judged_history
from roundtrip.gates.many import Arms
from roundtrip.gates.sequential import Judge

rates = st.floats(0.0, 1.0)
ratio = st.floats(1.01, 50)
few = st.integers(1, 9)
arms_of_two = st.tuples(few, few)
rare = st.floats(0, 0.1)
growth = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 6), st.integers(0, 6))

BURSTS = {"noise": "bursts", "burst_seconds": 4, "burst_ratio": 3}
OF_ANY_SIZE = {"noise": "bursts", "burst_seconds": 4}


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(n + 1)]


def mean_of(factor, n: int, canary: float, m: int, stable: float) -> float:
    return math.fsum(
        p * q * math.exp(factor(Counts(n, x), Counts(m, y))[0])
        for x, p in enumerate(binomial(n, canary))
        for y, q in enumerate(binomial(m, stable))
    )


@given(requests=arms_of_two, one=rates, other=rates, part=rates, r=ratio)
def test_a_pair_wins_nothing_on_average_when_either_arm_may_have_the_burst(requests, one, other, part, r):
    """One arm at each of two rates, the canary's made smaller by `part`: it is not worse, whatever the rates are."""
    n, m = requests
    means = [
        mean_of(lambda a, b: as_bad([r], a, b), n, part * x, m, y) for x, y in ((one, other), (other, one))
    ]
    assert sum(means) / 2 <= 1 + 1e-9


@given(requests=arms_of_two, one=rare, other=rare, k=st.sampled_from([1.5, 2, 3]), r=ratio)
def test_a_pair_for_pass_wins_nothing_when_the_canary_is_worse_than_tolerated(requests, one, other, k, r):
    n, m = requests
    means = [
        mean_of(lambda a, b: times_as_bad([r], k, a, b), n, k * x, m, y)
        for x, y in ((one, other), (other, one))
    ]
    assert sum(means) / 2 <= 1 + 1e-9


@given(n=few, bound=st.floats(0.001, 0.5), most=st.floats(1, 20), f=st.floats(0.01, 0.99))
def test_no_bet_on_a_low_rate_wins_on_average_when_bursts_are_as_bad_as_said_at_most(n, bound, most, f):
    """The rate is 0 or a burst's, with its mean at the bound: the law that wins most."""
    burst = min(1.0, most * bound)
    mean = math.fsum(
        share * p * math.exp(bounded([f], bound, most, Counts(n, x))[0])
        for share, rate in ((bound / burst, burst), (1 - bound / burst, 0.0))
        for x, p in enumerate(binomial(n, rate))
    )
    assert mean <= 1 + 1e-9


def test_against_a_rate_of_nothing_nothing_is_won():
    """What is tolerated is 0 where stable never failed and the plan has no tolerance."""
    assert bounded([0.02, 0.5], 0.0, math.inf, Counts(1000, 0)) == (0.0, 0.0)
    assert all(factor < 0 for factor in bounded([0.02, 0.5], 0.0, 5.0, Counts(1000, 1)))


@given(n=few, bound=st.floats(0.001, 1), burst=st.floats(0.001, 1))
def test_no_bet_on_a_high_rate_wins_on_average_whatever_the_bursts(n, bound, burst):
    share = min(1.0, bound / burst)
    each = [(share * p, above(bound, Counts(n, x))) for x, p in enumerate(binomial(n, burst))] + [
        (1 - share, above(bound, Counts(n, 0)))
    ]
    for stake in range(len(MEAN_STAKES)):
        assert math.fsum(p * math.exp(logs[stake]) for p, logs in each) <= 1 + 1e-9


@given(total=st.integers(1, 60), data=st.data())
def test_thinning_is_the_choice_of_some_requests_out_of_all(total, data):
    bad = data.draw(st.integers(0, total))
    size = data.draw(st.integers(1, total))
    found = dict(thinned(Counts(total, bad), size))
    for number in range(size + 1):
        ways = math.comb(bad, number) * math.comb(total - bad, size - number)
        assert found.get(number, 0.0) == pytest.approx(ways / math.comb(total, size), abs=1e-12)


@given(total=st.integers(1, 10**9), share=rates, size=rates, more=st.integers(0, 3))
def test_thinning_keeps_the_rate_also_of_huge_counts_and_of_several_bad_tries_a_request(
    total, share, size, more
):
    counts = Counts(total, int(total * share / 1000) + more * total)
    chosen = max(1, int(total * size))
    found = thinned(counts, chosen)
    assert math.fsum(p for _, p in found) == pytest.approx(1)
    assert math.fsum(x * p for x, p in found) == pytest.approx(counts.bad * chosen / total, abs=1e-6)
    assert len(found) < 200_000


@given(n=st.integers(1, 40), m=st.integers(1, 90), x=st.integers(0, 39), y=st.integers(0, 89), r=ratio)
def test_a_pair_grows_with_the_canarys_errors_and_falls_with_stables(n, m, x, y, r):
    x, y = min(x, n - 1), min(y, m - 1)
    middle = as_bad([r], Counts(n, x), Counts(m, y))[0]
    assert as_bad([r], Counts(n, x + 1), Counts(m, y))[0] >= middle - 1e-12
    assert as_bad([r], Counts(n, x), Counts(m, y + 1))[0] <= middle + 1e-12


def test_a_block_counts_after_its_pause_and_ends_when_both_arms_had_requests():
    block = Block.after(100.0, 8.0)
    assert (block.opens, block.closes) == (100 + 8 * GUARD_BURSTS, 100 + 8 * BLOCK_BURSTS)
    assert (
        block.grown(Counts(5, 1), Counts(9), 107.0) == block
    )  # a burst of the block before may last until 108
    grown = block.grown(Counts(5, 1), Counts(), 109.0)
    assert grown.canary == Counts(5, 1)
    assert not grown.is_full(200.0, alone=False)
    assert grown.is_full(200.0, alone=True)
    assert grown.grown(Counts(), Counts(9), 115.0).is_full(116.0, alone=False)


def cumulative(steps, *, part: float = 1.0) -> list[Sample]:
    """Samples `part` seconds apart with intervals (canary total, stable total, canary bad, stable bad)."""
    canary, stable = Counts(), Counts()
    taken = [sample(0, (0, 0), (0, 0))]
    for number, (n, m, x, y) in enumerate(steps, 1):
        canary, stable = canary + Counts(n, min(n, x)), stable + Counts(m, min(m, y))
        arms = ((canary.total, canary.bad), (stable.total, stable.bad))
        taken.append(sample(number, *arms, seconds=number * part))
    return taken


@pytest.mark.parametrize("kind", [{}, BURSTS, OF_ANY_SIZE], ids=["independent", "bursts", "any-size"])
@settings(deadline=None, max_examples=50)
@given(steps=st.lists(growth, min_size=1, max_size=60), data=st.data())
def test_one_more_error_of_the_canary_never_speaks_for_it(kind, steps, data):
    at = data.draw(st.integers(0, len(steps) - 1))
    n, m, x, y = steps[at]
    worse = [*steps[:at], (n, m, x + 1, y), *steps[at + 1 :]]
    _, one = judged(Judge(gate(**kind)), cumulative(steps))
    _, other = judged(Judge(gate(**kind)), cumulative(worse))
    assert other.metrics["errors"].evidence_against >= one.metrics["errors"].evidence_against * (1 - 1e-9)
    assert other.metrics["errors"].evidence_for <= one.metrics["errors"].evidence_for * (1 + 1e-9)


@pytest.mark.parametrize("kind", [BURSTS, OF_ANY_SIZE], ids=["bursts", "any-size"])
@settings(deadline=None, max_examples=50)
@given(steps=st.lists(growth, max_size=60))
def test_a_gate_in_blocks_is_taken_up_from_its_samples_bit_for_bit(kind, steps):
    taken = cumulative(steps)
    again = [Sample.from_json(one.to_json()) for one in taken]
    assert judged(Judge(gate(**kind)), again) == judged(Judge(gate(**kind)), taken)


@settings(deadline=None, max_examples=50)
@given(
    steps=st.lists(
        st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 3), st.integers(0, 3)),
        min_size=1,
        max_size=40,
    ),
    parts=st.sampled_from([2, 4]),
)
def test_blocks_are_the_same_however_finely_they_are_sampled(steps, parts):
    """A burst of 4 s: pauses and blocks end with whole seconds, which both kinds of samples have."""
    scaled = [tuple(parts * part for part in (n, m, min(n, x), min(m, y))) for n, m, x, y in steps]
    split = [tuple(part // parts for part in one) for one in scaled for _ in range(parts)]
    plan = gate(**OF_ANY_SIZE)
    _, one = judged(Judge(plan), cumulative(scaled))
    _, other = judged(Judge(plan), cumulative(split, part=1 / parts))
    for name in ("evidence_against", "evidence_for"):
        whole, fine = (getattr(each.metrics["errors"], name) for each in (one, other))
        assert fine == pytest.approx(whole)


def steady(seconds: int, canary=(20, 0), stable=(20, 0)) -> list[Sample]:
    return cumulative([(canary[0], stable[0], canary[1], stable[1])] * seconds)


def test_a_fault_beyond_any_burst_is_found_within_seconds():
    decision, seconds = first_verdict(Judge(gate(**BURSTS)), steady(600, (20, 8), (20, 0)))
    assert decision.verdict is Verdict.FAIL
    assert seconds <= 4


def test_where_a_burst_may_be_of_any_size_a_fault_takes_at_least_seven_blocks():
    decision, seconds = first_verdict(Judge(gate(**OF_ANY_SIZE)), steady(600, (20, 8), (20, 0)))
    assert decision.verdict is Verdict.FAIL
    assert 7 * 8 <= seconds <= 12 * 8


@given(
    pairs=st.lists(
        st.tuples(st.integers(1, 500), st.integers(0, 30), st.integers(0, 5)), min_size=1, max_size=40
    )
)
def test_what_stable_lacks_is_never_taken_back_within_a_stretch_and_begins_anew_with_the_next(pairs):
    lull, stretch = Lull(), 0
    for total, bad, step in pairs:
        before, stretch = lull, stretch + (step == 0)
        lull = before.grown(Counts(total, min(total, bad)), stretch)
        assert lull.added(before) >= 0
        assert lull.lacking >= (before.lacking if before.stretch == stretch else 0)
    assert lull.stable.total == sum(total for total, _, _ in pairs)


def test_a_lull_of_stable_is_not_the_canarys_fault():
    """Stable fails in 10 of 200 a second, but for 20 s in 1; the canary does not change: 1 of 20."""
    steps = [(20, 200, 1, 1 if 40 <= number < 60 else 10) for number in range(80)]
    plan = gate(noise="bursts", burst_seconds=20, burst_ratio=3, deadline_seconds=3600)
    assert first_verdict(Judge(plan), cumulative(steps))[0].verdict is not Verdict.FAIL
    _, decision = judged(Judge(plan), cumulative(steps[:60]))
    on_its_face = 20 * max(relative([4.5, 6.0, 9.0, 15.0, 30.0], 3.0, Counts(20, 1), Counts(200, 1)))
    assert decision.metrics["errors"].evidence_against < 2 < math.exp(on_its_face)


@given(n=few, m=few, x=few, y=few, more=st.floats(0, 50))
def test_counting_more_bad_requests_on_stable_only_lowers_a_bet_against_the_canary(n, m, x, y, more):
    canary, stable = Counts(n, min(n, x)), Counts(m, min(m, y))
    plain = relative([4.0, 60.0], 3.0, canary, stable)
    filled = relative([4.0, 60.0], 3.0, canary, stable, lacking=more)
    assert all(one <= other + 1e-9 for one, other in zip(filled, plain, strict=True))


def test_a_burst_of_the_canary_alone_is_not_its_fault():
    steps = [(20, 20, 20 if 10 <= number < 14 else 0, 0) for number in range(200)]
    independent, _ = first_verdict(Judge(gate()), cumulative(steps))
    in_blocks, _ = first_verdict(Judge(gate(**OF_ANY_SIZE)), cumulative(steps))
    assert independent.verdict is Verdict.FAIL
    assert in_blocks.verdict is not Verdict.FAIL


def test_a_canary_without_errors_passes_in_blocks():
    decision, seconds = first_verdict(Judge(gate(**BURSTS)), steady(600, (20, 0), (20, 1)))
    assert decision.verdict is Verdict.PASS
    assert seconds < 200


def test_a_canary_alone_is_judged_in_blocks_too():
    recorded = {"errors": Baseline(Counts(20_000, 200))}
    good, _ = first_verdict(Judge(gate(**BURSTS), recorded), steady(600, (50, 0), (0, 0)))
    bad, seconds = first_verdict(Judge(gate(**BURSTS), recorded), steady(600, (50, 10), (0, 0)))
    any_size, later = first_verdict(Judge(gate(**OF_ANY_SIZE), recorded), steady(600, (50, 10), (0, 0)))
    assert good.verdict is Verdict.PASS
    assert (bad.verdict, any_size.verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert seconds < 5 < later


def noisy(seed: int, gates: int, *, canary_rate: float) -> Arms:
    """10 s bursts in each arm for itself, 50 canary requests a second beside 450; an hour."""
    dice = np.random.default_rng(seed)
    shape = (gates, 3600)
    bursts = [np.repeat(dice.gamma(2.0, 0.5, (gates, 360)), 10, axis=1) for _ in range(2)]
    canary, stable = dice.poisson(50, shape), dice.poisson(450, shape)
    return Arms(
        canary,
        dice.binomial(canary, np.minimum(1, canary_rate * bursts[0])),
        stable,
        dice.binomial(stable, np.minimum(1, 0.005 * bursts[1])),
    )


def test_false_alarms_stay_below_what_is_stated_under_bursts_that_break_independent_requests():
    """120 gates at 10 %: 21 alarms or more would come once in 200 times if it were 10 % exactly."""
    arms = noisy(3, 120, canary_rate=0.005)
    plan = {"false_alarm": 0.1, "deadline_seconds": 3600}
    in_blocks = judged_history(
        gate(**plan, noise="bursts", burst_seconds=10, burst_ratio=5), {"errors": arms}
    )
    independent = judged_history(gate(**plan), {"errors": arms})
    assert np.isfinite(in_blocks.failed).sum() <= 20
    assert np.isfinite(independent.failed).sum() > 60


def test_false_passes_stay_below_what_is_stated_under_bursts():
    """Twice as bad as stable, at the edge of what is tolerated."""
    arms = noisy(4, 120, canary_rate=0.01)
    strict = metric(absolute_tolerance=0.0, fail_odds=[1000.0])
    plan = gate(
        strict, false_pass=0.1, noise="bursts", burst_seconds=10, deadline_seconds=3600, false_alarm=1e-9
    )
    passed = judged_history(plan, {"errors": arms}).passed
    assert np.isfinite(passed).sum() <= 20


def test_a_gap_in_the_samples_is_one_long_block():
    taken = cumulative([(20, 20, 0, 0)] * 4)
    later = sample(5, (4000, 900), (4000, 10), seconds=300)
    _, decision = judged(Judge(gate(**OF_ANY_SIZE)), [*taken, later])
    assert decision.metrics["errors"].evidence_against < 2
    assert (later.at - NOON) == timedelta(seconds=300)
