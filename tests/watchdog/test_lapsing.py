"""Laws of the lapse: never while it is renewed, always after, and no clock but the watchdog's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roundtrip.watchdog.lapsing import MOST_BETWEEN_LOOKS, Seen, seen

TERM = 20.0
steps = st.lists(st.floats(0, 30), min_size=1, max_size=60)


def watched(looks: list[tuple[float, str | None]], start: Seen | None = None, at: float = 100.0) -> Seen:
    one = start
    for after, mark in looks:
        at += after
        one = seen(one, "r", mark, at)
    assert one is not None
    return one


@given(steps)
def test_what_is_renewed_between_two_looks_never_lapses(pauses: list[float]) -> None:
    looks = [(pause, str(number)) for number, pause in enumerate(pauses)]
    assert watched(looks).same_for == 0.0


@given(steps, st.integers(0, 3))
def test_it_lapses_after_its_term_of_looking_and_not_before(pauses: list[float], renewals: int) -> None:
    """However often it was renewed before, and however far apart the looks are."""
    one = watched([(1.0, str(number)) for number in range(renewals)] + [(1.0, "last")])
    spent = 0.0
    at = one.looked_at
    for pause in pauses:
        at += pause
        one = seen(one, "r", "last", at)
        spent += min(pause, MOST_BETWEEN_LOOKS)
        assert abs(one.same_for - spent) < 1e-6
        assert one.has_lapsed(TERM) == (one.same_for >= TERM)


def test_a_watchdog_that_stood_still_for_an_hour_gives_the_time_back() -> None:
    one = watched([(0.25, "a"), (3600.0, "a")])
    assert not one.has_lapsed(TERM)
    assert watched([(3600.0, "b")], one).same_for == 0.0


def test_a_mark_that_cannot_be_read_is_no_renewal() -> None:
    one = watched([(0.25, "a"), *[(1.0, None)] * 25])
    assert one.has_lapsed(TERM)
    assert watched([(0.25, "a")], one).has_lapsed(TERM), "the same mark as before"
    assert not watched([(0.25, "b")], one).has_lapsed(TERM)


def test_a_watchdog_that_begins_anew_and_another_release_have_a_full_term() -> None:
    lapsed = watched([(0.25, "a"), *[(1.0, "a")] * 25])
    assert lapsed.has_lapsed(TERM)
    assert seen(None, "r", "a", lapsed.looked_at).same_for == 0.0
    assert seen(lapsed, "s", "a", lapsed.looked_at + 1).same_for == 0.0


@given(st.floats(-1e6, 0))
def test_a_clock_that_went_back_lets_nothing_lapse(step: float) -> None:
    one = watched([(0.25, "a"), (step, "a")])
    assert one.same_for == 0.0
