"""A recorded gate judged again comes to the same decision, to the last bit, or is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from arms import NOON, gate, metric
from test_gate_run import World, run, setup

from roundtrip.errors import EvidenceError
from roundtrip.gates import replay
from roundtrip.gates.evidence import Baseline, Counts, Decision, Verdict
from roundtrip.gates.gate import GateSetup, recorded_verdict
from roundtrip.ledger.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


def gone() -> World:
    world = World()
    world.missing = {"canary/errors": "target-vanished: connection refused"}
    return world


def alone() -> GateSetup:
    return setup(gate(minimum_seconds=20), baselines={"errors": Baseline(Counts(20_000, 9))})


def by_hour() -> GateSetup:
    """NOON is in the middle of these hours, so all of them are compared with."""
    recorded = {hour: (Counts(20_000, 9), Counts(10_000, 40)) for hour in (11, 12, 13)}
    baseline = Baseline.of_hours(recorded, NOON - timedelta(days=2), NOON)
    return setup(gate(minimum_seconds=20), baselines={"errors": baseline})


CASES = {
    "PASS": (World, setup, Verdict.PASS),
    "FAIL": (lambda: World(canary_bad=5), setup, Verdict.FAIL),
    "INCONCLUSIVE": (gone, setup, Verdict.INCONCLUSIVE),
    "alone": (lambda: World(per_second=50), alone, Verdict.PASS),
    "alone, by the hour": (lambda: World(per_second=50), by_hour, Verdict.PASS),
    "alone, worse by the hour": (lambda: World(canary_bad=2), by_hour, Verdict.FAIL),
}


@pytest.mark.parametrize(("world", "one", "verdict"), CASES.values(), ids=CASES)
def test_a_replay_comes_to_the_recorded_decision_bit_for_bit(ledger, tmp_path, world, one, verdict):
    live = run(ledger, world(), one())
    assert live.verdict is verdict
    file = tmp_path / "wave-1.jsonl"
    replay.write(ledger, "r1", "wave-1", file)
    assert replay.read(file).decision() == live
    assert replay.of_ledger(ledger, "r1", "wave-1").decision() == live
    assert recorded_verdict(ledger, "r1", "wave-1") == live


def test_other_settings_may_judge_the_same_samples(ledger):
    run(ledger, World(), setup())
    recording = replay.of_ledger(ledger, "r1", "wave-1")
    unsure = recording.decision(gate(metric(absolute_tolerance=0.0)))
    assert isinstance(unsure, Decision)
    assert unsure.verdict is None
    assert recording.decision().verdict is Verdict.PASS


def lines(ledger: Ledger, file: Path) -> list[str]:
    run(ledger, World(), setup())
    replay.write(ledger, "r1", "wave-1", file)
    return file.read_text().splitlines()


def without(line: str, key: str) -> str:
    return json.dumps({name: value for name, value in json.loads(line).items() if name != key})


BROKEN = {
    "a gap": (lambda whole: [*whole[:3], *whole[4:]], "expected samples 0 to"),
    "another order": (lambda whole: [whole[0], *reversed(whole[1:])], "expected samples 0 to"),
    "no samples": (lambda whole: whole[:1], "expected samples 0 to"),
    "nothing": (lambda whole: [], "is empty"),
    "half a line": (lambda whole: [*whole[:-1], whole[-1][:40]], "is no recording"),
    "no counts": (lambda whole: [*whole[:-1], without(whole[-1], "canary")], "KeyError: 'canary'"),
    "a list": (lambda whole: ["[]", *whole[1:]], "is no recording of a gate: TypeError"),
    "no gate": (lambda whole: [without(whole[0], "gate"), *whole[1:]], "KeyError: 'gate'"),
}


@pytest.mark.parametrize(("bend", "problem"), BROKEN.values(), ids=BROKEN)
def test_a_recording_that_is_not_whole_is_refused(ledger, tmp_path, bend, problem):
    file = tmp_path / "wave-1.jsonl"
    file.write_text("\n".join(bend(lines(ledger, file))))
    with pytest.raises(EvidenceError, match=problem) as caught:
        replay.read(file)
    assert caught.value.where == str(file)


def test_a_gate_that_was_never_started_cannot_be_replayed(ledger, tmp_path):
    with pytest.raises(EvidenceError, match="no such gate was started at gate wave-9 of r1"):
        replay.write(ledger, "r1", "wave-9", tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()
