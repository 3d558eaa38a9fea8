"""Guard rails: one event is enough, whatever the comparison says; and what cannot be read never passes."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from arms import NOON, gate, metric
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from pydantic import ValidationError
from servers import free_port
from test_gate_run import World, run, setup

from roundtrip.gates import replay
from roundtrip.gates.evidence import Cause, Counts, Decision, Sample, Verdict
from roundtrip.gates.fold import RawScrape
from roundtrip.gates.guard_rails import Guarded
from roundtrip.gates.reading import Versions
from roundtrip.gates.sources import sources
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import GuardRail

KILL_SWITCH = GuardRail(name="kill-switch", service="workers", series="kill_switch")
EXPOSURE = GuardRail(name="exposure", service="workers", series="exposure_limit_used", at_most=1.0)
GATE = gate(guard_rails=[KILL_SWITCH, EXPOSURE])
FINE = {"kill-switch": 0.0, "exposure": 0.4}


def taken(
    number: int, rails: dict[str, float], *, why: str = "target-vanished: gone", bad: int = 0
) -> Sample:
    at = NOON + timedelta(seconds=number)
    arm = {"errors": Counts(number * 20, 0)}
    canary = {"errors": Counts(number * 20, number * bad)}
    missing = {f"guard-rail/{name}": why for name in FINE if name not in rails}
    return Sample(number, at, NOON, canary, arm, missing, rails)


def decided(samples, plan=GATE) -> tuple[Decision, int]:
    judge = Guarded(plan)
    state, decision = judge.start(), Decision(None, "")
    for one in samples:
        state, decision = judge.fold(state, one, one.at)
        if decision.verdict is not None:
            return decision, one.number
    return decision, -1


def test_without_an_event_the_comparison_decides():
    good, _ = decided(taken(n, FINE) for n in range(100))
    bad, _ = decided(taken(n, FINE, bad=5) for n in range(100))
    assert good.verdict is Verdict.PASS
    assert bad.verdict is Verdict.FAIL
    assert bad.reason.startswith("errors: ")


@pytest.mark.parametrize(
    ("rails", "reason"),
    [
        ({**FINE, "kill-switch": 1.0}, "guard rail kill-switch: workers shows kill_switch 1, limit 0"),
        ({**FINE, "exposure": 1.01}, "guard rail exposure: workers shows exposure_limit_used 1.01, limit 1"),
    ],
)
def test_one_event_is_enough_and_the_reason_has_name_and_numbers(rails, reason):
    decision, at = decided(taken(n, rails if n == 3 else FINE) for n in range(100))
    assert (decision.verdict, at) == (Verdict.FAIL, 3)
    assert decision.reason == f"{reason}; after 3 s"


def test_an_event_in_the_first_sample_or_in_the_warm_up_counts():
    tripped = {**FINE, "kill-switch": 1.0}
    cold = gate(guard_rails=[KILL_SWITCH, EXPOSURE], warm_up_seconds=60)
    assert decided([taken(0, tripped)], cold)[0].verdict is Verdict.FAIL
    assert decided([taken(n, tripped if n == 5 else FINE) for n in range(9)], cold)[1] == 5


def test_exactly_the_limit_is_allowed():
    decision, _ = decided(taken(n, {"kill-switch": 0.0, "exposure": 1.0}) for n in range(100))
    assert decision.verdict is Verdict.PASS


def test_a_guard_rail_that_cannot_be_read_ends_inconclusive_by_its_cause():
    decision, at = decided(taken(n, FINE if n < 3 else {"exposure": 0.1}) for n in range(100))
    assert (decision.verdict, decision.cause, at) == (Verdict.INCONCLUSIVE, Cause.VANISHED, 8)
    assert decision.reason == (
        "target-vanished: guard-rail/kill-switch could not be read for 6.0 s, stale after 5 s: gone"
    )


def test_nothing_passes_on_a_sample_without_a_guard_rail_and_a_gap_is_no_harm():
    decision, at = decided(taken(n, FINE if n % 4 == 0 else {}) for n in range(100))
    assert decision.verdict is Verdict.PASS
    assert at % 4 == 0


def test_a_failing_canary_fails_although_a_guard_rail_cannot_be_read():
    decision, _ = decided(taken(n, {}, bad=10) for n in range(100))
    assert decision.verdict is Verdict.FAIL


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 3)), max_size=60))
def test_a_value_above_the_limit_never_passes(values):
    rails = [{"kill-switch": 0.0} if one is None else {"kill-switch": 0.0, "exposure": one} for one in values]
    decision, at = decided(taken(n, one) for n, one in enumerate(rails))
    above = [n for n, one in enumerate(values) if one is not None and one > 1]
    if decision.verdict is Verdict.PASS:
        assert not above or above[0] > at
        assert values[at] is not None
    if decision.verdict is Verdict.FAIL:
        assert at == above[0]


class Guards(World):
    """The world with guard rails, the kill switch tripped at a second."""

    tripped_at = 10**9

    async def read(self, at) -> RawScrape:
        scrape = await super().read(at)
        tripped = (self.now - NOON).total_seconds() >= self.tripped_at
        return RawScrape(at, scrape.readings, scrape.missing, {**FINE, "kill-switch": float(tripped)})


def test_a_breach_is_pulled_recorded_and_replayed_bit_for_bit(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    world = Guards()
    world.tripped_at = 4
    decision = run(ledger, world, setup(GATE))
    assert decision.verdict is Verdict.FAIL
    assert world.pulled == [decision.reason]
    assert ledger.last("r1", "gate.verdict", "wave-1").data["guard_rails"] == {**FINE, "kill-switch": 1.0}
    assert replay.of_ledger(ledger, "r1", "wave-1").decision() == decision
    assert any("guard rail exposure 0.4 of at most 1" in line for line in world.said)


def test_the_pages_of_the_canarys_processes_are_read_and_no_others(tmp_path):
    targets = tmp_path / "targets.json"
    listed = []
    gauges: dict[int, Gauge] = {}

    def listing(version: str, port: int) -> None:
        labels = {"service": "workers", "version": version}
        listed.append({"targets": [f"127.0.0.1:{port}"], "labels": labels})
        targets.write_text(json.dumps(listed))

    def read() -> RawScrape:
        guarded = gate(metric(), guard_rails=[KILL_SWITCH])
        _, services = sources(guarded, Versions("1.1.0", "1.0.0"), front_door="x", services=targets)
        return asyncio.run(services.read(NOON))

    ends = []
    for version, value in (("1.0.0", 1), ("1.1.0", 0), ("1.1.0", 0)):
        registry = CollectorRegistry()
        gauge = Gauge("kill_switch", "t", registry=registry)
        gauge.set(value)
        server, _ = start_http_server(0, addr="127.0.0.1", registry=registry)
        ends.append(server)
        gauges[server.server_port] = gauge
        listing(version, server.server_port)
    try:
        assert dict(read().guard_rails) == {"kill-switch": 0.0}
        last = gauges[ends[-1].server_port]
        last.set(1)
        assert dict(read().guard_rails) == {"kill-switch": 1.0}
        last.set(float("nan"))
        assert read().missing["guard-rail/kill-switch"].startswith("source-unreadable: ")
        listing("1.1.0", free_port())
        last.set(0)
        assert read().missing["guard-rail/kill-switch"].startswith("target-vanished: ")
        targets.write_text("[]")
        assert "no process of workers 1.1.0" in read().missing["guard-rail/kill-switch"]
        targets.unlink()
        assert "the list of processes cannot be read" in read().missing["guard-rail/kill-switch"]
    finally:
        for server in ends:
            server.shutdown()
            server.server_close()


def test_guard_rails_of_one_name_are_refused():
    with pytest.raises(ValidationError, match="named twice: kill-switch"):
        gate(guard_rails=[KILL_SWITCH, KILL_SWITCH])
