"""SIGKILL for each part in turn while production is released: it ends promoted or restored, never in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from roundtrip.ledger.ledger import Event
from tests.end_to_end.machine import Ended, EndToEnd, kill

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def killed() -> list[str]:
    """What was killed, in order."""
    return []


@pytest.fixture(scope="module")
def ended(machine: EndToEnd, killed: list[str]) -> Ended:
    since = machine.newest()
    running = machine.start("release")
    for what, moment, pid in _kills(machine):
        event = machine.wait_for(running, what, moment, after=since)
        if event is None:
            break
        kill(pid(event))
        killed.append(what)
        since = event.seq
    return running.wait()


def test_each_was_killed(ended: Ended, killed: list[str]) -> None:
    assert killed == ["converging task", "triggerer", "scheduler", "worker of the platform", "Redis"]


def test_it_ends_promoted_or_restored(machine: EndToEnd, ended: Ended) -> None:
    outcome = machine.events("release.outcome")[-1].data["outcome"]
    now = machine.at("production")
    if outcome == "PROMOTED":
        assert ended.code == 0
        assert now.versions() == ("1.1.0",)
        assert machine.events("promoted")[0].data["deployment"] == now.to_json()
    else:
        assert (outcome, ended.code) == ("ROLLED BACK", 3)
        snapshot = next(e for e in machine.events("snapshot.taken") if e.key == "local_production")
        assert snapshot.data["deployment"] == now.to_json()
        assert {e.key for e in machine.events("rollback.verified")} == {"local_staging", "local_production"}


def test_the_ledger_is_whole(machine: EndToEnd, ended: Ended) -> None:
    assert machine.run("verify-ledger").code == 0


def test_no_wave_went_on_without_the_verdict_of_the_one_before(machine: EndToEnd, ended: Ended) -> None:
    verdicts = {e.key: (e.data["verdict"], e.seq) for e in machine.events("gate.verdict")}
    for number in (2, 3):
        first = next(
            (
                e.seq
                for e in machine.events("converge.started")
                if e.data["holder"] == f"production.wave_{number}"
            ),
            None,
        )
        if first is not None:
            verdict, at = verdicts[f"production.wave_{number - 1}"]
            assert verdict == "PASS"
            assert at < first


Kill = tuple[str, Callable[[Event], bool], Callable[[Event], int]]


def _kills(machine: EndToEnd) -> list[Kill]:
    """What, at which moment, and which process. Each moment is later in the release than the one before."""
    return [
        ("converging task", _converging("production.wave_1"), lambda e: int(e.data["pid"])),
        ("triggerer", _sample("production.wave_1", 3), lambda _: machine.airflow_pid("triggerer")),
        ("scheduler", _converging("production.wave_2"), lambda _: machine.airflow_pid("scheduler")),
        (
            "worker of the platform",
            _sample("production.wave_2", 2),
            lambda _: machine.pid_of("production", "workers-1.1.0-1"),
        ),
        ("Redis", _sample("production.soak", 3), lambda _: machine.pid_of("production", "redis")),
    ]


def _converging(holder: str) -> Callable[[Event], bool]:
    return lambda e: e.kind == "converge.started" and e.data["holder"] == holder


def _sample(gate: str, number: int) -> Callable[[Event], bool]:
    return lambda e: e.kind == "gate.sample" and e.key == f"{gate}#{number}"
