"""What makes a gate pass, fail and end without a verdict of either kind."""

from __future__ import annotations

from datetime import timedelta

import pytest
from arms import NOON, first_verdict, gate, judged, metric, sample
from hypothesis import given, settings
from hypothesis import strategies as st

from roundtrip.errors import EvidenceError, GateError
from roundtrip.gates.evidence import Baseline, Counts, Sample, Verdict, whole
from roundtrip.gates.sequential import Judge

growth = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 6), st.integers(0, 6))

growth_of_both = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 6), st.integers(0, 6))


def cumulative(steps, **changes) -> list[Sample]:
    """Samples whose intervals are (canary total, stable total, canary bad, stable bad), bad bounded by total."""
    canary, stable = Counts(), Counts()
    taken = [sample(0, (0, 0), (0, 0), **changes)]
    for number, (n, m, x, y) in enumerate(steps, 1):
        canary, stable = canary + Counts(n, min(n, x)), stable + Counts(m, min(m, y))
        taken.append(sample(number, (canary.total, canary.bad), (stable.total, stable.bad), **changes))
    return taken


def steady(seconds: int, canary=(20, 0), stable=(20, 0)) -> list[Sample]:
    return cumulative([(canary[0], stable[0], canary[1], stable[1])] * seconds)


def test_a_canary_without_errors_passes_once_enough_requests_have_shown_it():
    decision, seconds = first_verdict(Judge(gate()), steady(600))
    assert decision.verdict is Verdict.PASS
    assert 15 < seconds < 40
    assert "canary 0 of" in decision.reason


def test_a_canary_as_bad_as_stable_passes_by_comparison():
    decision, seconds = first_verdict(
        Judge(gate(metric(absolute_tolerance=0.0))), steady(600, (40, 2), (40, 2))
    )
    assert decision.verdict is Verdict.PASS
    assert seconds < 60


def test_a_canary_that_is_much_worse_fails_within_seconds():
    decision, seconds = first_verdict(Judge(gate()), steady(600, (20, 4), (20, 0)))
    assert decision.verdict is Verdict.FAIL
    assert seconds <= 4
    assert "errors: canary" in decision.reason
    assert ", limit 100" in decision.reason
    assert "mean of" not in decision.reason, "of one metric there is none"
    assert decision.metrics["errors"].evidence_against >= 100


def test_noise_that_both_arms_share_fails_nobody():
    steps = [(20, 20, 10, 10) if second % 10 < 3 else (20, 20, 0, 0) for second in range(300)]
    decision, _ = first_verdict(Judge(gate(metric(absolute_tolerance=0.0))), cumulative(steps))
    assert decision.verdict is Verdict.PASS


def test_a_fault_that_begins_late_is_found_in_a_soak():
    steps = [(20, 20, 0, 0)] * 400 + [(20, 20, 4, 0)] * 100
    soak = gate(minimum_seconds=550)
    decision, seconds = first_verdict(Judge(soak), cumulative(steps))
    assert decision.verdict is Verdict.FAIL
    assert 400 < seconds <= 407


def test_an_hour_of_equal_errors_does_not_hide_a_fault_that_begins_after_it():
    """Bets that lost for an hour would need most of another one to win that back; restarted ones have lost little."""
    steps = [(20, 20, number % 2, number % 2) for number in range(3600)] + [(20, 20, 4, 0)] * 100
    soak = gate(metric(absolute_tolerance=0.0), minimum_seconds=3700, deadline_seconds=3800)
    decision, seconds = first_verdict(Judge(soak), cumulative(steps))
    assert decision.verdict is Verdict.FAIL
    assert 3600 < seconds <= 3606


def test_a_soak_passes_only_when_its_time_is_over():
    decision, seconds = first_verdict(Judge(gate(minimum_seconds=120)), steady(600))
    assert (decision.verdict, seconds) == (Verdict.PASS, 120)


def test_without_requests_a_gate_ends_inconclusive_at_its_deadline():
    decision, seconds = first_verdict(Judge(gate(deadline_seconds=60)), steady(600, (0, 0), (0, 0)))
    assert (decision.verdict, seconds) == (Verdict.INCONCLUSIVE, 60)
    assert "not decided within 60 s" in decision.reason
    assert "0 of 100 canary requests" in decision.reason


def test_a_canary_without_requests_does_not_pass_on_the_requests_of_stable():
    decision, _ = first_verdict(Judge(gate(deadline_seconds=60)), steady(600, (0, 0), (500, 3)))
    assert decision.verdict is Verdict.INCONCLUSIVE


def test_a_stable_without_requests_is_nothing_to_compare_with():
    decision, seconds = first_verdict(Judge(gate(deadline_seconds=60)), steady(600, (10, 0), (0, 0)))
    assert (decision.verdict, seconds) == (Verdict.INCONCLUSIVE, 60)
    assert "600 canary requests wait for one to stable" in decision.reason


def test_a_stable_that_gets_no_traffic_any_more_ends_a_soak_that_had_passed():
    """The canary fails all the while, and nothing beside it could show that."""
    steps = [(20, 20, 0, 0)] * 200 + [(20, 0, 5, 0)] * 300
    decision, seconds = first_verdict(Judge(gate(minimum_seconds=450)), cumulative(steps))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert seconds == 250
    assert "1000 requests to the canary and none to stable" in decision.reason


def test_what_stable_had_in_a_sample_that_could_not_be_read_is_not_taken_for_none():
    busy = [sample(n, (5000 * n, 0), (5000 * n, 0)) for n in range(3)]
    unread = sample(3, (15_000, 0), (10_000, 0), missing={"stable/errors": "target-vanished: no page"})
    again = sample(4, (20_000, 0), (20_000, 0))
    judge = Judge(gate(minimum_seconds=60, deadline_seconds=600, stale_seconds=10))
    for samples in ([*busy, unread], [*busy, unread, again]):
        assert judged(judge, samples)[1].verdict is None
    silent = sample(4, (20_000, 0), (10_000, 0))
    decision = judged(judge, [*busy, unread, silent])[1]
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "10000 requests to the canary and none to stable" in decision.reason
    still = [sample(n, (5000 * n, 0), (10_000, 0), missing=dict(unread.missing)) for n in range(4, 14)]
    decision = judged(judge, [*busy, unread, *still])[1]
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "stable/errors could not be read for 11.0 s" in decision.reason


def test_nothing_passes_below_the_minimum_of_requests():
    decision, _ = first_verdict(Judge(gate(deadline_seconds=60, minimum_requests=100_000)), steady(600))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert "of 100000 canary requests" in decision.reason


def test_without_a_tolerance_no_errors_at_all_show_no_ratio():
    decision, _ = first_verdict(Judge(gate(metric(absolute_tolerance=0.0))), steady(700))
    assert decision.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("column", ["canary/errors", "stable/errors"])
def test_an_arm_that_vanishes_ends_the_gate_when_it_is_stale(column):
    taken = steady(5) + [sample(n, (100, 0), (100, 0), missing={column: "refused"}) for n in range(6, 20)]
    decision, seconds = first_verdict(Judge(gate()), taken)
    assert (decision.verdict, seconds) == (Verdict.INCONCLUSIVE, 11)
    assert f"{column} could not be read for 6.0 s, stale after 5 s: refused" in decision.reason


def test_a_gap_shorter_than_stale_seconds_is_no_harm_but_nothing_passes_inside_it():
    taken = steady(50)
    broken = [
        Sample(one.number, one.at, one.since, one.canary, one.stable, {"canary/errors": "gap"})
        if one.number % 4
        else one
        for one in taken
    ]
    decision, seconds = first_verdict(Judge(gate()), broken)
    assert decision.verdict is Verdict.PASS
    assert seconds % 4 == 0


def test_an_arm_that_was_never_there_ends_inconclusive():
    taken = [sample(n, (0, 0), (n * 20, 0), missing={"canary/errors": "no process"}) for n in range(20)]
    decision, seconds = first_verdict(Judge(gate()), taken)
    assert (decision.verdict, seconds) == (Verdict.INCONCLUSIVE, 6)


def test_no_new_sample_at_all_is_stale_too():
    judge = Judge(gate())
    state, _ = judged(judge, steady(3))
    _, soon = judge.fold(state, None, NOON + timedelta(seconds=8))
    _, late = judge.fold(state, None, NOON + timedelta(seconds=8.1))
    assert (soon.verdict, late.verdict) == (None, Verdict.INCONCLUSIVE)
    assert "no sample was taken" in late.reason


def test_a_watcher_that_was_killed_is_not_held_against_the_evidence():
    taken = steady(5)
    later = NOON + timedelta(seconds=60)
    resumed = Sample(
        6, later, later, {"errors": Counts(120, 0)}, {"errors": Counts(120, 0)}, {"canary/errors": "x"}
    )
    _, decision = judged(Judge(gate()), [*taken, resumed])
    assert decision.verdict is None


def test_a_failing_canary_fails_although_the_other_arm_vanished_meanwhile():
    taken = [sample(n, (n * 20, n * 10), (n * 20, 0)) for n in range(2)]
    taken.append(sample(9, (400, 200), (400, 0), missing={"stable/errors": "refused"}))
    _, decision = judged(Judge(gate()), taken)
    assert decision.verdict is Verdict.FAIL


def test_what_comes_in_the_warm_up_is_not_judged():
    steps = [(20, 20, 20, 0)] * 10 + [(20, 20, 0, 0)] * 100
    decision, seconds = first_verdict(Judge(gate(warm_up_seconds=10)), cumulative(steps))
    assert decision.verdict is Verdict.PASS
    assert decision.metrics["errors"].canary.bad == 0
    assert seconds > 25


def test_every_metric_has_to_pass_and_one_is_enough_to_fail():
    two = gate(metric("errors"), metric("slow", kind="slow", slower_than_seconds=0.25))

    def both(number: int, slow: int) -> Sample:
        n = number * 40
        arm = {"errors": Counts(n, 0), "slow": Counts(n, 0)}
        return Sample(
            number, NOON + timedelta(seconds=number), NOON, {**arm, "slow": Counts(n, number * slow)}, arm
        )

    good, _ = first_verdict(Judge(two), [both(n, 0) for n in range(60)])
    bad, _ = first_verdict(Judge(two), [both(n, 10) for n in range(60)])
    assert good.verdict is Verdict.PASS
    assert bad.verdict is Verdict.FAIL
    assert bad.reason.startswith("slow: ")
    assert "(mean of 2 metrics), limit 100" in bad.reason, "each metric's own limit is 200"
    assert bad.metrics["slow"].against_needed == pytest.approx(200)


def alone(total: int, bad: int, **changes) -> Judge:
    return Judge(gate(**changes), {"errors": Baseline(Counts(total, bad))})


def test_a_canary_alone_is_judged_by_what_is_recorded_of_stable():
    good, _ = first_verdict(alone(20_000, 200), steady(600, (50, 0), (0, 0)))
    same = cumulative([(50, 0, int(second % 2 == 0), 0) for second in range(600)])
    equal, _ = first_verdict(alone(20_000, 200), same)
    bad, seconds = first_verdict(alone(20_000, 200), steady(600, (50, 10), (0, 0)))
    assert good.verdict is Verdict.PASS
    assert equal.verdict is Verdict.PASS
    assert bad.verdict is Verdict.FAIL
    assert seconds <= 3
    assert bad.metrics["errors"].against_needed == pytest.approx(200)
    assert bad.metrics["errors"].for_needed == pytest.approx(40)


def test_a_canary_alone_needs_no_stable_arm_to_be_readable():
    gone = {"stable/errors": "no process listed"}
    taken = cumulative([(50, 0, 0, 0)] * 60, missing=gone)
    decision, _ = first_verdict(alone(5_000, 5), taken)
    assert decision.verdict is Verdict.PASS


def test_with_nothing_recorded_the_tolerance_is_what_is_expected():
    good, _ = first_verdict(alone(0, 0), steady(600, (50, 0), (0, 0)))
    bad, _ = first_verdict(alone(0, 0), steady(600, (50, 5), (0, 0)))
    assert good.verdict is Verdict.PASS
    assert bad.verdict is Verdict.FAIL
    with pytest.raises(GateError, match="nothing to compare with"):
        Judge(gate(metric(absolute_tolerance=0.0)), {"errors": Baseline()})


def test_a_gate_whose_deadline_comes_before_its_minimum_is_refused():
    with pytest.raises(GateError, match="leaves no sample"):
        Judge(gate(minimum_seconds=600, deadline_seconds=600))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1.0, 0.5, 2.0**54])
def test_a_value_that_is_no_count_is_no_evidence(value):
    with pytest.raises(EvidenceError, match="expected a whole number"):
        whole(value, where="page")


@pytest.mark.parametrize("value", [float("nan"), -1, 1.0, True, None, 2**60])
def test_counts_hold_whole_numbers_only(value):
    with pytest.raises(EvidenceError, match="expected a whole number"):
        Counts(value, 0)


@settings(deadline=None)
@given(steps=st.lists(growth, max_size=25))
def test_a_sample_survives_the_ledger_and_gives_the_same_decision_again(steps):
    taken = cumulative(steps)
    again = [Sample.from_json(one.to_json()) for one in taken]
    assert again == taken
    assert judged(Judge(gate()), again) == judged(Judge(gate()), taken)


@settings(deadline=None)
@given(steps=st.lists(growth_of_both, min_size=1, max_size=25), parts=st.integers(2, 4))
def test_splitting_intervals_into_equal_parts_changes_no_evidence(steps, parts):
    scaled = [tuple(parts * part for part in (n, m, min(n, x), min(m, y))) for n, m, x, y in steps]
    split = [tuple(part // parts for part in one) for one in scaled for _ in range(parts)]
    whole_ones = cumulative(scaled)
    split_ones = [
        Sample(number, NOON + timedelta(seconds=number / parts), NOON, one.canary, one.stable)
        for number, one in enumerate(cumulative(split))
    ]
    _, one = judged(Judge(gate()), whole_ones)
    _, other = judged(Judge(gate()), split_ones)
    for name, evidence in one.metrics.items():
        assert other.metrics[name].evidence_against == pytest.approx(evidence.evidence_against)
        assert other.metrics[name].evidence_for == pytest.approx(evidence.evidence_for)


@settings(deadline=None)
@given(steps=st.lists(growth, min_size=1, max_size=20), data=st.data())
def test_a_sample_without_growth_changes_no_evidence(steps, data):
    taken = cumulative(steps)
    at = data.draw(st.integers(0, len(taken) - 1))
    again = [*taken[: at + 1], *taken[at:]]
    _, one = judged(Judge(gate()), taken)
    _, other = judged(Judge(gate()), again)
    assert one.metrics == other.metrics


@settings(deadline=None)
@given(steps=st.lists(st.tuples(st.just(0), st.integers(0, 50), st.just(0), st.integers(0, 50)), max_size=80))
def test_no_requests_to_the_canary_never_pass_and_never_fail(steps):
    judge = Judge(gate(deadline_seconds=60, minimum_requests=1))
    state = judge.start()
    for one in cumulative(steps):
        state, decision = judge.fold(state, one, one.at)
        assert decision.verdict in (None, Verdict.INCONCLUSIVE)


@settings(deadline=None)
@given(steps=st.lists(growth, max_size=40), gap=st.integers(0, 39))
def test_nothing_passes_on_a_sample_in_which_something_is_missing(steps, gap):
    taken = cumulative(steps)
    judge = Judge(gate(minimum_requests=1, false_pass=0.4))
    state = judge.start()
    for one in taken:
        missing = {"stable/errors": "gone"} if one.number >= gap else {}
        seen = Sample(one.number, one.at, one.since, one.canary, one.stable, missing)
        state, decision = judge.fold(state, seen, seen.at)
        if missing:
            assert decision.verdict is not Verdict.PASS
