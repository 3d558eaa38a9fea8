"""Each way of not knowing ends a gate INCONCLUSIVE under its own name, and the ledger has the name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from arms import first_verdict, gate, metric, sample
from test_gate_run import World, run, setup

from roundtrip.gates.evidence import Cause, Verdict
from roundtrip.gates.needs import need
from roundtrip.gates.planning import traffic_needed
from roundtrip.gates.sequential import Judge
from roundtrip.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.mark.parametrize(
    "cause", [Cause.TOO_OLD, Cause.VANISHED, Cause.RENAMED, Cause.UNREADABLE], ids=lambda one: one.value
)
def test_what_cannot_be_read_names_its_cause_in_reason_and_verdict(ledger, cause):
    world = World()
    world.missing = {"canary/errors": cause.says("why it is so")}
    decision = run(ledger, world)
    assert (decision.verdict, decision.cause) == (Verdict.INCONCLUSIVE, cause)
    assert decision.reason.startswith(f"{cause.value}: canary/errors could not be read for 6.0 s")
    assert decision.reason.endswith("stale after 5 s: why it is so")
    assert ledger.last("r1", "gate.verdict", "wave-1").data["cause"] == cause.value
    assert world.said[-1].startswith(f"wave-1: INCONCLUSIVE: {cause.value}: ")


@pytest.mark.parametrize(("canary", "stable"), [(0, 20), (2, 0), (0, 0)], ids=["canary", "stable", "both"])
def test_an_arm_without_traffic_is_named(canary, stable):
    taken = [sample(n, (n * canary, 0), (n * stable, 0)) for n in range(70)]
    decision, seconds = first_verdict(Judge(gate(deadline_seconds=60)), taken)
    assert (decision.verdict, decision.cause, seconds) == (Verdict.INCONCLUSIVE, Cause.NO_TRAFFIC, 60)
    assert decision.reason.startswith("no-traffic: not decided within 60 s")


def test_a_stable_arm_that_lost_its_traffic_is_named():
    taken = [sample(n, (n * 50, 0), (min(n, 5) * 50, 0)) for n in range(70)]
    decision, _ = first_verdict(Judge(gate(minimum_seconds=50, deadline_seconds=60)), taken)
    assert decision.cause is Cause.NO_TRAFFIC


def test_too_little_traffic_is_undecided():
    taken = [sample(n, (n, 0), (n, 0)) for n in range(70)]
    decision, _ = first_verdict(Judge(gate(deadline_seconds=60)), taken)
    assert decision.reason.startswith("undecided: not decided within 60 s")
    assert decision.cause is Cause.UNDECIDED


def test_only_an_inconclusive_gate_has_a_cause(ledger):
    assert run(ledger, World()).cause is None
    assert ledger.last("r1", "gate.verdict", "wave-1").data["cause"] is None


def test_a_gate_says_first_what_it_needs_and_records_it(ledger):
    plan = gate(deadline_seconds=101)
    world = World()
    run(ledger, world, setup(plan, needs={"errors": need(plan, metric(), 0.1, 70.0)}))
    recorded = json.loads(json.dumps(ledger.last("r1", "gate.started", "wave-1").data["needs"]))["errors"]
    assert world.said[0] == (
        "wave-1: to be decided within 101 s it needs errors: "
        f"{recorded['canary_requests']} canary requests, {recorded['requests_per_second']:.3g} requests/s "
        "at a share of 10% (stated: 70)"
    )
    assert recorded["requests_per_second"] == pytest.approx(recorded["canary_requests"] / 0.1 / 100, rel=0.01)


def test_what_is_needed_is_what_planning_says_at_the_deadline():
    plan = gate(deadline_seconds=300, warm_up_seconds=20)
    found = need(plan, metric(), 0.25, None)
    assert traffic_needed(plan, found.requests_per_second, 0.25) == pytest.approx(300)
    assert need(plan, metric(), 0.25, found.requests_per_second * 1.01).is_enough
    assert not need(plan, metric(), 0.25, found.requests_per_second * 0.99).is_enough


def test_what_depends_on_stables_failures_is_not_held_against_the_traffic():
    ratio_only = need(gate(), metric(absolute_tolerance=0.0), 0.5, 0.001)
    assert (ratio_only.canary_requests, ratio_only.is_enough) == (None, True)
    assert str(need(gate(), metric(), 0.0, 5.0)) == "the canary gets no traffic"
