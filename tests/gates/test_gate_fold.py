"""Counters of processes that come, go, restart and lie become counts that only grow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from arms import NOON
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.gates.evidence import Counts
from roundtrip.gates.fold import RawScrape, Reading, Totals, absorb, counters_from_json, merged

COLUMN = "canary/errors"


def reading(total: int, bad: int = 0, *, instance: str = "a:1", **changes) -> Reading:
    return replace(Reading("canary", "errors", instance, Counts(total, bad)), **changes)


def folded(*scrapes: list[Reading] | dict[str, str], every: float = 1.0) -> Totals:
    totals = None
    for number, one in enumerate(scrapes):
        at = NOON + timedelta(seconds=number * every)
        scrape = RawScrape(at, (), one) if isinstance(one, dict) else RawScrape(at, tuple(one))
        totals = absorb(totals, scrape)
    assert totals is not None
    return totals


def canary(totals: Totals) -> Counts:
    return totals.of("canary", ["errors"])["errors"]


def test_what_was_counted_before_the_gate_is_not_the_gates():
    assert canary(folded([reading(1000, 900)])) == Counts()
    assert canary(folded([reading(1000, 900)], [reading(1010, 901)])) == Counts(10, 1)


def test_a_counter_that_began_again_counts_from_zero():
    assert canary(folded([reading(1000, 5)], [reading(1010, 6)], [reading(4, 1)])) == Counts(14, 2)


def test_a_process_with_a_new_start_time_began_again_also_when_its_counter_is_higher_already():
    before, after = reading(10, 0, started=1.0), reading(50, 2, started=NOON.timestamp() + 0.5)
    assert canary(folded([before], [after])) == Counts(50, 2)


def test_a_reset_of_the_bad_ones_alone_is_a_reset():
    assert canary(folded([reading(10, 9)], [reading(12, 1)])) == Counts(12, 1)


def test_a_process_added_during_the_gate_counts_from_its_start_when_that_is_known():
    later = NOON.timestamp() + 0.5
    new = reading(7, 1, instance="b:2", started=later)
    assert canary(folded([reading(5)], [reading(6), new])) == Counts(8, 1)


def test_a_process_of_unknown_age_counts_from_what_it_showed_first():
    unknown, old = reading(700, 70, instance="b:2"), reading(900, 90, instance="c:3", started=1.0)
    assert canary(folded([reading(5)], [reading(6), unknown, old])) == Counts(1, 0)
    grown = reading(710, 71, instance="b:2")
    assert canary(folded([reading(5)], [reading(6), unknown, old], [reading(6), grown, old])) == Counts(11, 1)


def test_a_process_that_vanished_keeps_what_it_brought_and_goes_on_when_it_is_back():
    two = [reading(0), reading(0, instance="b:2")]
    grown = [reading(3), reading(4, 1, instance="b:2")]
    back = [reading(5), reading(6, 1, instance="b:2")]
    assert canary(folded(two, grown, [reading(5)])) == Counts(9, 1)
    assert canary(folded(two, grown, [reading(5)], back)) == Counts(11, 1)


def test_what_could_not_be_read_is_missing_and_no_zero():
    totals = folded([reading(10)], [reading(20)], {COLUMN: "refused"})
    assert canary(totals) == Counts(10)
    assert totals.missing == {COLUMN: "refused"}


def test_an_unthinkable_growth_is_a_broken_counter_and_counts_nothing():
    totals = folded([reading(10)], [reading(2**52)])
    assert canary(totals) == Counts()
    assert "a broken counter" in totals.missing[COLUMN]
    assert canary(folded([reading(10)], [reading(2**52)], [reading(15, 1)])) == Counts(5, 1)


def test_a_huge_counter_that_falls_is_a_restart():
    assert canary(folded([reading(2**52, 2**51)], [reading(3, 1)])) == Counts(3, 1)


def test_a_series_that_was_never_there_is_zero_and_one_that_went_is_missing():
    nothing = reading(0, absent=True)
    begun = folded([nothing], [nothing], [reading(5, 1)])
    assert (canary(begun), begun.missing) == (Counts(5, 1), {})
    gone = folded([nothing], [reading(5, 1)], [nothing])
    assert (canary(gone), list(gone.missing)) == (Counts(5, 1), [COLUMN])
    back = folded([nothing], [reading(5, 1)], [nothing], [reading(2)])
    assert (canary(back), back.missing) == (Counts(7, 1), {})
    before = folded([reading(50)], [nothing])
    assert (canary(before), list(before.missing)) == (Counts(), [COLUMN])


def test_scrapes_of_several_sources_are_one():
    one = RawScrape(NOON, (reading(1),), {"stable/errors": "x"})
    two = RawScrape(NOON, (replace(reading(2), metric="slow"),), {"stable/slow": "y"})
    both = merged(NOON, [one, two])
    assert [r.metric for r in both.readings] == ["errors", "slow"]
    assert both.missing == {"stable/errors": "x", "stable/slow": "y"}


steps = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["a:1", "b:2", "c:3"]), st.integers(0, 500), st.integers(0, 500)),
        max_size=3,
    ),
    min_size=1,
    max_size=12,
)


@given(steps=steps, cut=st.integers(0, 11))
def test_counts_never_fall_and_a_watcher_that_is_replaced_changes_nothing(steps, cut):
    """At `cut` everything but what a sample records is lost."""
    straight = restored = None
    last = Counts()
    for number, step in enumerate(steps):
        at = NOON + timedelta(seconds=number)
        seen = {instance: reading(max(n, x), min(n, x), instance=instance) for instance, n, x in step}
        scrape = RawScrape(at, tuple(seen.values()))
        straight, restored = absorb(straight, scrape), absorb(restored, scrape)
        assert canary(straight).total >= last.total
        assert canary(straight).bad >= last.bad
        last = canary(straight)
        if number == cut:
            counts = {COLUMN: canary(restored)}
            restored = Totals(NOON, counts, counters_from_json(restored.to_json()))
    assert canary(straight) == canary(restored)


@given(growths=st.lists(st.integers(0, 50), min_size=1, max_size=20), resets=st.sets(st.integers(0, 19)))
def test_nothing_is_lost_but_what_came_between_a_scrape_and_a_restart(growths, resets):
    """A process restarts right after a scrape, so nothing is lost at all, whatever its counter shows."""
    shown, scrapes, started = 100, [[reading(100, started=0.0)]], 0.0
    for number, growth in enumerate(growths):
        if number in resets:
            shown, started = 0, NOON.timestamp() + number
        shown += growth
        scrapes.append([reading(shown, started=started)])
    assert canary(folded(*scrapes)) == Counts(sum(growths))


def test_a_counter_that_falls_in_the_same_process_is_broken_and_stays_as_it_was():
    """Were it taken for a restart, all that it shows would be counted again, as if it were good."""
    totals = folded(
        [reading(1000, 200, started=5.0)],
        [reading(1100, 220, started=5.0)],
        [reading(900, 0, started=5.0)],
    )
    assert canary(totals) == Counts(100, 20)
    assert totals.missing == {COLUMN: "source-unreadable: a:1 counts less than before, in the same process"}
    back = absorb(totals, RawScrape(NOON + timedelta(seconds=9), (reading(1150, 230, started=5.0),)))
    assert canary(back) == Counts(150, 30)
    assert back.missing == {}
