"""A person pauses, extends or overrides a gate: what it does, what it never does, and that a replay agrees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from arms import NOON, gate, metric
from hypothesis import given, settings
from hypothesis import strategies as st
from test_gate_run import Killed, World, run, setup

from roundtrip.gates import replay
from roundtrip.gates.actions import ACTION, KINDS, Actions, GateAction
from roundtrip.gates.evidence import Baseline, Cause, Counts, Decision, Sample, Verdict
from roundtrip.gates.fold import RawScrape
from roundtrip.gates.gate import recorded_verdict, run_gate, samples
from roundtrip.gates.guard_rails import Guarded
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import GuardRail

RAIL = GuardRail(name="kill-switch", service="workers", series="kill_switch")
SLOW = gate(guard_rails=[RAIL], minimum_requests=1000, deadline_seconds=60)
"""Passes after 50 samples of 20 requests, and has 60 s."""
FINE = {"kill-switch": 0.0}
WHY = "the numbers are fine, the traffic is low"


def action(kind: str, at: float, minutes: int = 1, *, by: str = "ada", seq: int = 1) -> GateAction:
    """Asked for `at` seconds after noon."""
    since = NOON + timedelta(seconds=at)
    return GateAction(seq, kind, by, WHY, minutes, since, since + timedelta(minutes=minutes))


def taken(number: int, *actions: GateAction, bad: int = 0, **changes) -> Sample:
    """A sample a second, 20 requests each to both versions."""
    at = NOON + timedelta(seconds=number)
    canary = {"errors": Counts(number * 20, number * bad)}
    stable = {"errors": Counts(number * 20, 0)}
    fields = {"guard_rails": FINE, "actions": actions, **changes}
    return Sample(number, at, NOON, canary, stable, **fields)


def decided(plan, count: int, one: Callable[[int], Sample], **alone) -> tuple[Decision, int]:
    """The first verdict of `count` samples and its number, or where it stands after the last one."""
    judge = Guarded(plan, **alone)
    state, decision = judge.start(), Decision(None, "")
    for number in range(count):
        state, decision = judge.fold(state, one(number), NOON + timedelta(seconds=number))
        if decision.verdict is not None:
            break
    return decision, number


def at(moment: int, *actions: GateAction, **changes) -> Callable[[int], Sample]:
    """Samples of which number `moment` carries the actions."""
    return lambda number: taken(number, *(actions if number == moment else ()), **changes)


def test_a_paused_gate_does_not_pass_and_passes_when_the_pause_is_over():
    assert decided(SLOW, 99, at(0))[1] == 50
    held, _ = decided(SLOW, 89, at(30, action("pause", 30)))
    assert (held.verdict, held.reason) == (None, "paused by ada")
    decision, number = decided(SLOW, 200, at(30, action("pause", 30)))
    assert (decision.verdict, number) == (Verdict.PASS, 90)
    assert decision.overridden is None


def test_a_resume_ends_the_pause():
    resumed = action("resume", 55, seq=2)
    decision, number = decided(
        SLOW, 200, lambda n: taken(n, *{30: [action("pause", 30)], 55: [resumed]}.get(n, []))
    )
    assert (decision.verdict, number) == (Verdict.PASS, 55)


def test_a_pause_moves_the_deadline_by_its_length_and_the_evidence_goes_on():
    hopeless = SLOW.model_copy(update={"minimum_requests": 10_000})
    decision, number = decided(hopeless, 400, at(30, action("pause", 30, 2)))
    assert (decision.verdict, decision.cause, number) == (Verdict.INCONCLUSIVE, Cause.UNDECIDED, 180)
    assert decision.reason.startswith("undecided: not decided within 180 s: errors: 3600 of 10000")


@pytest.mark.parametrize("bad", [5, 20])
def test_a_pause_does_not_hold_a_fail(bad):
    plain, when = decided(SLOW, 99, at(0, bad=bad))
    paused, paused_when = decided(SLOW, 99, at(0, action("pause", 0, 4), bad=bad))
    assert plain.verdict is Verdict.FAIL
    assert (paused, paused_when) == (plain, when)


def test_what_cannot_be_read_ends_a_paused_gate_too():
    gone = {"canary/errors": "target-vanished: gone"}
    decision, number = decided(SLOW, 99, at(0, action("pause", 0, 4), missing=gone))
    assert (decision.verdict, decision.cause, number) == (Verdict.INCONCLUSIVE, Cause.VANISHED, 6)


def test_an_extension_adds_to_the_deadline_and_all_together_at_most_double_it():
    hopeless = SLOW.model_copy(update={"minimum_requests": 10_000, "deadline_seconds": 90})
    one, two = action("extend", 3), action("extend", 4, seq=2)
    assert decided(hopeless, 400, at(5))[1] == 90
    assert decided(hopeless, 400, at(5, one))[1] == 150
    assert decided(hopeless, 400, at(5, one, two))[1] == 180


def test_an_override_passes_in_that_persons_name_and_says_what_the_evidence_lacked():
    override = action("override", 9)
    decision, number = decided(SLOW, 99, at(10, override))
    assert (decision.verdict, number) == (Verdict.PASS, 10)
    assert decision.overridden == override
    assert decision.reason == (
        f"overridden by ada: {WHY}; the evidence had not decided: errors: 200 of 1000 canary requests; "
        f"errors: evidence for {decision.metrics['errors'].evidence_for:.3g} of 20; after 10 s"
    )


def test_an_override_ends_a_soak():
    soak = SLOW.model_copy(update={"minimum_seconds": 3600, "deadline_seconds": 7200})
    decision, number = decided(soak, 100, at(60, action("override", 60)))
    assert (decision.verdict, number) == (Verdict.PASS, 60)
    assert "60 of 3600 s; after 60 s" in decision.reason


def test_an_override_that_was_not_needed_makes_no_override():
    decision, number = decided(SLOW, 99, at(50, action("override", 50)))
    assert (decision.verdict, decision.overridden, number) == (Verdict.PASS, None, 50)


NOT_FOR_AN_OVERRIDE = {
    "a canary that is gone": {"missing": {"canary/errors": "target-vanished: gone"}},
    "a stable version that is gone": {"missing": {"stable/errors": "target-vanished: gone"}},
    "a guard rail that is not read": {
        "guard_rails": {},
        "missing": {"guard-rail/kill-switch": "evidence-too-old: x"},
    },
}


@pytest.mark.parametrize("bent", NOT_FOR_AN_OVERRIDE.values(), ids=NOT_FOR_AN_OVERRIDE)
def test_nobody_overrides_what_is_not_seen(bent):
    decision, _ = decided(SLOW, 99, at(0, action("override", 0, 4), **bent))
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.cause is not Cause.UNDECIDED


@pytest.mark.parametrize("arm", ["canary", "stable"])
def test_nobody_overrides_a_version_without_traffic(arm):
    def one(number: int) -> Sample:
        asked = [action("override", 0, 4)] if number == 0 else []
        return replace(taken(number, *asked), **{arm: {"errors": Counts()}})

    decision, _ = decided(SLOW, 99, one)
    assert (decision.verdict, decision.cause) == (Verdict.INCONCLUSIVE, Cause.NO_TRAFFIC)
    waiting, _ = decided(SLOW, 5, one)
    assert "the override waits until both versions are counted in every metric" in waiting.reason


def test_the_warm_up_is_not_overridden():
    cold = SLOW.model_copy(update={"warm_up_seconds": 20})
    assert decided(cold, 99, at(0, action("override", 0)))[1] == 21


def test_a_canary_that_runs_alone_may_be_overridden_without_a_stable_version_beside_it():
    alone = {"baselines": {"errors": Baseline()}}
    gone = {"stable/errors": "target-vanished: gone"}
    decision, number = decided(SLOW, 99, at(4, action("override", 4), missing=gone), **alone)
    assert (decision.verdict, number) == (Verdict.PASS, 4)


@pytest.mark.parametrize(("back", "verdict"), [(63, Verdict.PASS), (64, Verdict.INCONCLUSIVE)])
def test_an_override_waits_for_the_guard_rail_and_has_no_effect_after_its_time(back, verdict):
    def one(number: int) -> Sample:
        asked = [action("override", 4)] if number == 4 else []
        return taken(number, *asked, guard_rails={} if number in range(4, back) else FINE)

    patient = SLOW.model_copy(
        update={"minimum_requests": 10_000, "stale_seconds": 90, "deadline_seconds": 99}
    )
    decision, number = decided(patient, 200, one)
    assert (decision.verdict, number) == (verdict, 63 if verdict is Verdict.PASS else 99)
    assert (decision.overridden is not None) == (verdict is Verdict.PASS)


def test_a_pause_holds_an_override_back():
    both = (action("override", 4, 4), action("pause", 5, seq=2))
    decision, number = decided(SLOW, 99, at(6, *both))
    assert (decision.verdict, number) == (Verdict.PASS, 65)


def test_where_hosts_disagree_about_the_time_an_action_holds_from_the_sample_that_hears_it():
    ahead = action("pause", 40)
    held, _ = decided(SLOW, 89, at(30, ahead))
    assert (held.verdict, held.reason) == (None, "paused by ada")


def test_pauses_that_overlap_count_once():
    actions = Actions().heard(
        (action("pause", 0, 2), action("pause", 30, 1, seq=2), action("pause", 60, 3, seq=3)),
        NOON + timedelta(60),
    )
    assert actions.paused_seconds() == 240
    assert actions.paused_seconds(NOON + timedelta(seconds=90)) == 90


LONG = 60

actions_drawn = st.lists(
    st.tuples(st.integers(0, LONG - 1), st.sampled_from(KINDS), st.integers(-90, 30), st.integers(1, 4)),
    max_size=8,
)
"""Number of the sample that hears it, what, seconds since the sample, minutes."""
breaches_drawn = st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, None]), min_size=LONG, max_size=LONG)
rates_drawn = st.sampled_from([0, 0, 1, 5])


def story(drawn, rails, bad, *, heard: bool) -> list[Sample]:
    """Samples with these actions, or without them."""
    told = []
    for number, rail in enumerate(rails):
        mine = [
            action(kind, number + offset, minutes, seq=index + 1)
            for index, (when, kind, offset, minutes) in enumerate(drawn)
            if when == number and heard
        ]
        shown = {} if rail is None else {"kill-switch": rail}
        told.append(taken(number, *mine, bad=bad, guard_rails=shown))
    return told


def judged(told: list[Sample]) -> list[Decision]:
    judge, decisions = Guarded(SLOW), []
    state = judge.start()
    for one in told:
        state, decision = judge.fold(state, one, one.at)
        decisions.append(decision)
    return decisions


@settings(deadline=None, max_examples=60)
@given(actions_drawn, breaches_drawn, rates_drawn)
def test_no_action_reaches_a_guard_rail_a_fail_or_the_evidence(drawn, rails, bad):
    """Law, at each sample, whatever came before: a FAIL of the evidence stays, and PASS needs a rail that is read and whole."""
    plain = judged(story(drawn, rails, bad, heard=False))
    steered = judged(story(drawn, rails, bad, heard=True))
    for rail, without, with_ in zip(rails, plain, steered, strict=True):
        assert with_.metrics == without.metrics, "no sample is lost, and none counts otherwise"
        if without.verdict is Verdict.FAIL:
            assert with_ == without
        if with_.verdict is Verdict.PASS:
            assert rail == 0.0
            assert (with_.overridden is None) == (without.verdict is Verdict.PASS)


@settings(deadline=None, max_examples=20)
@given(actions_drawn, breaches_drawn, rates_drawn)
def test_a_recording_with_actions_is_judged_alike_after_json(drawn, rails, bad):
    told = story(drawn, rails, bad, heard=True)
    again = [Sample.from_json(one.to_json()) for one in told]
    assert again == told
    assert judged(again) == judged(told)


class Asking(World):
    """The world, with a person who asks for things at their seconds; the ledger gets them as the DAG would write them."""

    def __init__(self, ledger: Ledger, asks: dict[int, tuple[str, int]], **changes) -> None:
        super().__init__(**changes)
        self.ledger = ledger
        self.asks = asks
        self.rail = 0.0

    async def read(self, at: datetime) -> RawScrape:
        second = int((self.now - NOON).total_seconds())
        if second in self.asks:
            self.ask(*self.asks.pop(second))
        scrape = await super().read(at)
        return replace(scrape, guard_rails={"kill-switch": self.rail})

    def ask(self, kind: str, minutes: int, gate_id: str = "wave-1") -> None:
        until = self.now + timedelta(minutes=minutes)
        moments = {"at": self.now.isoformat(), "until": until.isoformat()}
        about = {"gate_id": gate_id, "action": kind, "minutes": minutes, "by": "ada", "reason": WHY}
        self.ledger.append("r1", ACTION, {**about, **moments}, actor="ada")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


LIVE = {
    "paused": ({10: ("pause", 1)}, 70, None),
    "paused and resumed": ({10: ("pause", 4), 55: ("resume", 1)}, 55, None),
    "overridden": ({10: ("override", 1)}, 10, "ada"),
}


@pytest.mark.parametrize(("asks", "seconds", "by"), LIVE.values(), ids=LIVE)
def test_a_live_gate_hears_it_records_it_and_a_replay_agrees(ledger, tmp_path, asks, seconds, by):
    world = Asking(ledger, dict(asks))
    decision = run(ledger, world, setup(SLOW))
    assert decision.verdict is Verdict.PASS
    assert (world.now - NOON).total_seconds() == seconds
    assert (decision.overridden.by if decision.overridden else None) == by
    assert recorded_verdict(ledger, "r1", "wave-1") == decision
    verdict = ledger.last("r1", "gate.verdict", "wave-1").data
    assert (verdict["overridden"] or {}).get("by") == by
    replay.write(ledger, "r1", "wave-1", tmp_path / "recording.jsonl")
    assert replay.read(tmp_path / "recording.jsonl").decision() == decision
    assert replay.of_ledger(ledger, "r1", "wave-1").decision() == decision


def test_the_log_says_at_once_who_until_when_and_why(ledger):
    world = Asking(ledger, {7: ("pause", 1), 8: ("extend", 1)})
    run(ledger, world, setup(SLOW))
    paused = f"wave-1: paused by ada until 12:01:07 UTC: {WHY}"
    extended = f"extended by ada by 1 min, to 12:01:08 UTC: {WHY}"
    first = world.said.index(paused)
    assert world.said[first + 1].startswith(f"{paused}; errors: canary 0 of 140 (0.00 %)")
    assert "waits for: paused by ada; errors: 140 of 1000 canary requests" in world.said[first + 1]
    assert world.said[first + 1].endswith("decides within 53 s of not being paused")
    assert world.said[first + 2] == f"wave-1: {extended}"
    assert world.said[first + 3].startswith(f"{paused}; {extended}; errors: canary")
    assert world.said[first + 4].startswith(f"{paused}; {extended}; errors: canary"), (
        "and as long as it holds"
    )


def test_what_is_asked_of_another_gate_changes_nothing(ledger):
    world = Asking(ledger, {})
    run(ledger, World(), setup(SLOW, gate_id="wave-0"))
    world.ask("override", 4, "wave-0")
    decision = run(ledger, world, setup(SLOW))
    assert (decision.verdict, decision.overridden) == (Verdict.PASS, None)
    assert all(event.data["actions"] == [] for event in samples(ledger, "r1", "wave-1"))


def test_a_gate_that_is_killed_remembers_what_people_asked(ledger):
    world = Asking(ledger, {3: ("pause", 1)})
    world.kill_after = 5
    with pytest.raises(Killed):
        run(ledger, world, setup(SLOW))
    world.ask("extend", 1)
    world.kill_after = None
    decision = run(ledger, world, setup(SLOW))
    assert decision.verdict is Verdict.PASS
    assert (world.now - NOON).total_seconds() == 63
    heard = [one for event in samples(ledger, "r1", "wave-1") for one in event.data["actions"]]
    assert [one["kind"] for one in heard] == ["pause", "extend"], "each is heard once"


def test_two_watchers_hear_the_same(ledger):
    async def both() -> list[Decision]:
        world = Asking(ledger, {12: ("override", 1)})
        one = {"pull": world.pull, "clock": world.clock, "sleep": world.sleep}
        return await asyncio.gather(*(run_gate(setup(SLOW), ledger, [world], **one) for _ in range(2)))

    one, other = asyncio.run(both())
    assert one == other
    assert one.overridden is not None
    assert replay.of_ledger(ledger, "r1", "wave-1").decision() == one
    heard = [action for event in samples(ledger, "r1", "wave-1") for action in event.data["actions"]]
    assert len(heard) == 1


def test_a_breach_is_pulled_from_a_paused_and_overridden_gate(ledger):
    world = Asking(ledger, {2: ("pause", 2), 3: ("override", 2)})
    world.rail = 0.0

    async def sleep(seconds: float) -> None:
        await World.sleep(world, seconds)
        world.rail = 1.0 if (world.now - NOON).total_seconds() >= 20 else 0.0

    world.sleep = sleep
    decision = run(ledger, world, setup(SLOW))
    assert decision.verdict is Verdict.FAIL
    assert decision.reason.startswith("guard rail kill-switch")
    assert world.pulled == [decision.reason]


def test_an_override_is_a_pass_and_nothing_else():
    with pytest.raises(RuntimeError, match="an override makes a PASS"):
        Decision(Verdict.FAIL, "", {}, action("override", 0))
    assert decided(gate(metric()), 5, at(0))[0].overridden is None
