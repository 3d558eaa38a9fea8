"""Many gates in one event loop: none starves another, and a request's limit measures the other side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from arms import NOON, gate

from roundtrip.gates import turns
from roundtrip.gates.evidence import Decision, Verdict
from roundtrip.gates.fold import RawScrape
from roundtrip.gates.gate import GateSetup, run_gate
from roundtrip.ledger.ledger import Ledger

GATES = 2 * turns.SAMPLES_AT_ONCE


async def _take(running: list[int], most: list[int]) -> None:
    async with turns.sampling():
        running.append(1)
        most.append(len(running))
        for _ in range(3):
            await asyncio.sleep(0)
        running.pop()


def test_no_more_samples_are_taken_at_once_than_there_are_turns():
    async def main() -> list[int]:
        running: list[int] = []
        most: list[int] = []
        await asyncio.gather(*(_take(running, most) for _ in range(5 * turns.SAMPLES_AT_ONCE)))
        return most

    most = asyncio.run(main())
    assert max(most) == turns.SAMPLES_AT_ONCE
    assert len(most) == 5 * turns.SAMPLES_AT_ONCE


def test_a_gate_that_is_opened_does_not_wait_for_samples_nor_they_for_it():
    async def main() -> bool:
        async with asyncio.timeout(10):
            for _ in range(turns.SAMPLES_AT_ONCE):
                await turns.sampling().acquire()
            async with turns.opening():
                return turns.sampling().locked() and not turns.opening().locked()

    assert asyncio.run(main())


def test_each_event_loop_has_turns_of_its_own():
    async def main() -> asyncio.Semaphore:
        for _ in range(turns.SAMPLES_AT_ONCE):
            await turns.sampling().acquire()
        return turns.sampling()

    first, second = asyncio.run(main()), asyncio.run(main())
    assert first is not second


def test_a_gate_that_is_ended_while_it_waits_gives_its_turn_to_nobody_lost():
    async def main() -> bool:
        for _ in range(turns.SAMPLES_AT_ONCE):
            await turns.sampling().acquire()
        waiting = asyncio.create_task(turns.sampling().acquire())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        turns.sampling().release()
        async with asyncio.timeout(10):
            return await turns.sampling().acquire()

    assert asyncio.run(main())


class Silent:
    """A source that shows nothing, and not before as many read it at once as may."""

    def __init__(self) -> None:
        self.reading = 0
        self.most = 0
        self._all_there = asyncio.Event()

    async def read(self, at: datetime) -> RawScrape:
        self.reading += 1
        self.most = max(self.most, self.reading)
        if self.reading == turns.SAMPLES_AT_ONCE:
            self._all_there.set()
        async with asyncio.timeout(60):
            await self._all_there.wait()
        self.reading -= 1
        return RawScrape(at, (), {"canary/errors": "no page", "stable/errors": "no page"})


def _clock() -> Callable[[], datetime]:
    """A second later each time."""
    times = (NOON + timedelta(seconds=number) for number in range(10_000))
    return lambda: next(times)


async def _ends(ledger: Ledger, source: Silent, release: str) -> Decision:
    setup = GateSetup(release, "g", "e", "1.1.0", "1.0.0", gate(stale_seconds=3))

    async def pull(_: str) -> None:
        raise AssertionError("nothing failed")

    async def sleep(_: float) -> None:
        await asyncio.sleep(0)

    return await run_gate(setup, ledger, [source], pull=pull, clock=_clock(), sleep=sleep)


def test_gates_of_one_process_take_turns_and_each_comes_to_its_verdict(tmp_path: Path):
    ledger, source = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Silent()

    async def all_of_them() -> list[Decision]:
        return await asyncio.gather(*(_ends(ledger, source, f"r{number}") for number in range(GATES)))

    decisions = asyncio.run(all_of_them())
    assert {decision.verdict for decision in decisions} == {Verdict.INCONCLUSIVE}
    assert source.most == turns.SAMPLES_AT_ONCE
    for number in range(GATES):
        taken = [e.data["number"] for e in ledger.events(f"r{number}", kind="gate.sample")]
        assert taken == list(range(len(taken)))
        assert len(taken) > 1
