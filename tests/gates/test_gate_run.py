"""A gate from its first sample to its verdict, on a real ledger, also when whoever watches it is killed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from arms import NOON, gate, metric

from roundtrip.errors import GateError, LedgerError, StaleTokenError
from roundtrip.gates.evidence import Baseline, Counts, Verdict
from roundtrip.gates.fold import RawScrape, Reading
from roundtrip.gates.gate import GateSetup, recorded_verdict, run_gate, samples
from roundtrip.gates.recorded import baselines, runs_alone
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.deployment import Deployment, Placement


class Killed(BaseException):
    """The watcher's process is gone."""


class World:
    """Time, and two versions that serve requests as time goes by. A source, a clock and a sleep in one."""

    def __init__(self, *, canary_bad: int = 0, per_second: int = 20) -> None:
        self.now = NOON
        self.canary_bad = canary_bad
        self.per_second = per_second
        self.missing: dict[str, str] = {}
        self.kill_after: int | None = None
        self.pulled: list[str] = []
        self.said: list[str] = []

    def clock(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def read(self, at: datetime) -> RawScrape:
        if self.kill_after is not None:
            if self.kill_after == 0:
                raise Killed
            self.kill_after -= 1
        seconds = int((self.now - NOON).total_seconds())
        requests = 5000 + seconds * self.per_second
        counts = {"canary": Counts(requests, 7 + seconds * self.canary_bad), "stable": Counts(requests, 7)}
        readings = tuple(
            Reading(arm, "errors", f"{arm}:1", one)
            for arm, one in counts.items()
            if f"{arm}/errors" not in self.missing
        )
        return RawScrape(at, readings, dict(self.missing))

    async def pull(self, reason: str) -> None:
        self.pulled.append(reason)


def setup(plan=None, **changes) -> GateSetup:
    fields = {"release": "r1", "gate_id": "wave-1", "environment": "local_production", **changes}
    return GateSetup(canary="1.1.0", stable="1.0.0", gate=plan or gate(), **fields)


def run(ledger: Ledger, world: World, one: GateSetup | None = None, pull=None):
    return asyncio.run(
        run_gate(
            one or setup(),
            ledger,
            [world],
            pull=pull or world.pull,
            say=world.said.append,
            clock=world.clock,
            sleep=world.sleep,
        )
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def kinds(ledger: Ledger) -> list[str]:
    return [event.kind for event in ledger.events() if event.kind != "gate.sample"]


def test_a_good_canary_passes_and_the_ledger_holds_every_step(ledger):
    world = World()
    decision = run(ledger, world)
    assert decision.verdict is Verdict.PASS
    assert kinds(ledger) == ["gate.started", "gate.verdict"]
    assert world.pulled == []
    verdict = ledger.last("r1", "gate.verdict", "wave-1").data
    taken = samples(ledger, "r1", "wave-1")
    assert verdict["verdict"] == "PASS"
    assert verdict["samples"] == len(taken)
    assert taken[0].data["canary"] == {"errors": {"total": 0, "bad": 0}}
    assert taken[-1].data["canary"]["errors"]["total"] == decision.metrics["errors"].canary.total
    assert ledger.verify() == len(taken) + 2


def test_a_bad_canary_is_pulled_before_its_verdict_is_recorded(ledger):
    world = World(canary_bad=5)
    seen: list[object] = []

    async def pull(reason: str) -> None:
        seen.append(recorded_verdict(ledger, "r1", "wave-1"))
        await world.pull(reason)

    decision = run(ledger, world, pull=pull)
    assert decision.verdict is Verdict.FAIL
    assert seen == [None]
    assert world.pulled == [decision.reason]
    assert recorded_verdict(ledger, "r1", "wave-1") == decision


def test_a_pull_that_fails_is_told_and_does_not_stop_the_verdict(ledger):
    async def pull(reason: str) -> None:
        raise StaleTokenError("token 3 is older than 4")

    decision = run(ledger, World(canary_bad=5), pull=pull)
    assert decision.verdict is Verdict.FAIL
    assert "could not be pulled: StaleTokenError: token 3 is older than 4" in decision.reason
    assert recorded_verdict(ledger, "r1", "wave-1") == decision


def test_a_verdict_that_is_there_is_returned_and_nothing_is_done_again(ledger):
    first = run(ledger, World(canary_bad=5))
    count = ledger.verify()
    world = World(canary_bad=0)
    assert run(ledger, world) == first
    assert world.pulled == []
    assert ledger.verify() == count


@pytest.mark.parametrize("canary_bad", [0, 1])
@pytest.mark.parametrize("kill_after", [1, 2, 5])
def test_a_gate_killed_and_taken_up_later_decides_as_if_it_had_not_been(tmp_path, canary_bad, kill_after):
    """Killed again and again, for 8 seconds each; the counters go on meanwhile, as the world does."""
    plan = gate(false_alarm=1e-6)
    undisturbed = run(Ledger(f"sqlite:///{tmp_path / 'a.db'}"), World(canary_bad=canary_bad), setup(plan))
    ledger = Ledger(f"sqlite:///{tmp_path / 'b.db'}")
    world = World(canary_bad=canary_bad)
    for _ in range(2):
        world.kill_after = kill_after
        with pytest.raises(Killed):
            run(ledger, world, setup(plan))
        world.now += timedelta(seconds=8)
    world.kill_after = None
    decision = run(ledger, world, setup(plan))
    assert decision.verdict is undisturbed.verdict
    taken = samples(ledger, "r1", "wave-1")
    assert [event.data["number"] for event in taken] == list(range(len(taken)))
    seconds = (world.now - NOON).total_seconds()
    assert taken[-1].data["canary"]["errors"] == {"total": 20 * seconds, "bad": canary_bad * seconds}


def test_a_gate_killed_without_missing_anything_gives_the_same_decision_to_the_last_bit(tmp_path):
    straight, broken = Ledger(f"sqlite:///{tmp_path / 'a.db'}"), Ledger(f"sqlite:///{tmp_path / 'b.db'}")
    undisturbed = run(straight, World())
    world = World()
    for _ in range(4):
        world.kill_after = 3
        with pytest.raises(Killed):
            run(broken, world)
    world.kill_after = None
    assert run(broken, world) == undisturbed


def test_a_gate_killed_between_its_last_sample_and_its_verdict_still_pulls(ledger):
    class Dies(World):
        async def pull(self, reason: str) -> None:
            raise Killed

    first = Dies(canary_bad=5)
    with pytest.raises(Killed):
        run(ledger, first)
    assert recorded_verdict(ledger, "r1", "wave-1") is None
    world = World(canary_bad=0)
    world.now = first.now
    decision = run(ledger, world)
    assert decision.verdict is Verdict.FAIL
    assert world.pulled == [decision.reason]


def test_two_watchers_of_one_gate_come_to_one_verdict(ledger):
    async def both() -> list[object]:
        worlds = [World(canary_bad=5), World(canary_bad=5)]
        worlds[1].now += timedelta(seconds=0.4)
        return await asyncio.gather(
            *(run_gate(setup(), ledger, [w], pull=w.pull, clock=w.clock, sleep=w.sleep) for w in worlds)
        )

    one, other = asyncio.run(both())
    assert one == other
    assert one.verdict is Verdict.FAIL
    assert kinds(ledger) == ["gate.started", "gate.verdict"]
    numbers = [event.data["number"] for event in samples(ledger, "r1", "wave-1")]
    assert numbers == list(range(len(numbers)))


def test_the_gate_that_was_started_is_the_one_that_is_judged(ledger):
    world = World()
    world.kill_after = 2
    with pytest.raises(Killed):
        run(ledger, world, setup(gate(minimum_requests=2000)))
    world.kill_after = None
    decision = run(ledger, world, setup(gate(minimum_requests=1)))
    assert decision.metrics["errors"].canary.total >= 2000


def test_a_source_that_gives_nothing_ends_inconclusive_with_the_reason(ledger):
    world = World()
    world.missing = {"canary/errors": "connection refused", "stable/errors": "connection refused"}
    decision = run(ledger, world)
    assert decision.verdict is Verdict.INCONCLUSIVE
    assert decision.reason.endswith("stale after 5 s: connection refused")
    assert (world.now - NOON).total_seconds() == 6


def test_a_soak_watches_to_its_end(ledger):
    world = World()
    decision = run(ledger, world, setup(gate(minimum_seconds=90, interval_seconds=5, deadline_seconds=120)))
    assert decision.verdict is Verdict.PASS
    assert (world.now - NOON).total_seconds() == 90


def test_a_person_hears_every_few_seconds_how_it_stands(ledger):
    world = World()
    run(ledger, world, setup(gate(minimum_seconds=21)))
    waiting = [line for line in world.said if "decides within" in line]
    assert 4 <= len(waiting) <= 6
    assert "canary 0 of 100 (0.00 %), stable 0 of 100 (0.00 %)" in waiting[1]
    assert "waits for: errors: evidence for" in waiting[1]
    assert "decides within 595 s" in waiting[1]
    assert world.said[-1].startswith("wave-1: PASS: errors: canary")


def test_a_gate_that_cannot_be_judged_leaves_nothing_behind(ledger):
    with pytest.raises(GateError):
        run(ledger, World(), setup(gate(minimum_seconds=600)))
    assert ledger.events() == []


def test_a_ledger_that_cannot_be_trusted_lets_nothing_pass(ledger, tmp_path):
    world = World()
    world.kill_after = 2
    with pytest.raises(Killed):
        run(ledger, world)
    path = tmp_path / "ledger.db"
    text = b'"total":20'
    whole = path.read_bytes() + (
        path.with_name("ledger.db-wal").read_bytes() if path.with_name("ledger.db-wal").exists() else b""
    )
    assert text in whole
    path.write_bytes(path.read_bytes().replace(text, b'"total":99'))
    world.kill_after = None
    with pytest.raises(LedgerError):
        run(ledger, world)


def test_what_earlier_gates_counted_on_stable_is_the_baseline_of_a_canary_alone(ledger):
    run(ledger, World(), setup(gate_id="wave-1"))
    run(ledger, World(), setup(gate_id="wave-2"))
    run(ledger, World(), setup(gate_id="other", environment="local_staging"))
    total = sum(
        samples(ledger, "r1", wave)[-1].data["stable"]["errors"]["total"] for wave in ("wave-1", "wave-2")
    )
    here = {"environment": "local_production", "stable": "1.0.0", "alone": ["errors"]}
    found = baselines(ledger, "r1", gate=gate(), **here)
    first, last = samples(ledger, "r1", "wave-1")[0], samples(ledger, "r1", "wave-2")[-1]
    when = [datetime.fromisoformat(one.data["at"]) for one in (first, last)]
    assert found == {"errors": Baseline(Counts(total, 0), *when)}
    slower = gate(metric("errors", kind="slow", slower_than_seconds=0.5))
    assert baselines(ledger, "r1", gate=slower, **here) == {"errors": Baseline()}

    world = World(per_second=50)
    soak = setup(gate(minimum_seconds=30), gate_id="soak", baselines=found)
    world.missing = {"stable/errors": "no process listed"}
    alone = run(ledger, world, soak)
    assert alone.verdict is Verdict.PASS
    assert f"recorded of stable {when[0]:%F %T} to {when[1]:%F %T} UTC 0 of {total}" in alone.reason
    world = World()
    assert run(ledger, world, replace(soak, gate_id="soak-2")).verdict is Verdict.PASS
    assert samples(ledger, "r1", "soak-2")[-1].data["stable"]["errors"]["total"] > 0
    assert baselines(ledger, "r1", gate=gate(), **here) == found


def test_a_canary_is_alone_where_stable_is_not_at_work():
    def placed(service: str, version: str, weight: int) -> Placement:
        return Placement(service, version, 1, "sha256:b", "sha256:c", weight)

    deployment = Deployment(
        (
            placed("api", "1.0.0", 0),
            placed("api", "1.1.0", 100),
            placed("ops-ui", "1.0.0", 60),
            placed("ops-ui", "1.1.0", 40),
            placed("workers", "1.0.0", 0),
            placed("workers", "1.1.0", 100),
            placed("backtester", "1.1.0", 100),
        )
    )
    each = gate(*(metric(name, service=name) for name in ("api", "ops-ui", "workers", "backtester")))
    assert runs_alone(each, deployment, "1.0.0", {"workers"}) == ("api", "backtester")
