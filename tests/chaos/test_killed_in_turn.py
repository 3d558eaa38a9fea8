"""SIGKILL for one part after the other of the same release: it ends promoted or restored, never in between."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.moments import Moment
from tests.chaos.releases import begun, outcome_of
from tests.chaos.stage import Stage

pytestmark = pytest.mark.end_to_end

SEED = 20261128
SCHEDULER = "kill scheduler"
KILLS = (
    ("kill converging task", Moment("converge.started", "production.wave_1")),
    ("kill triggerer", Moment("gate.sample", "production.wave_1#3")),
    (SCHEDULER, Moment("converge.started", "production.wave_2")),
    ("kill a new process", Moment("gate.sample", "production.wave_2#2")),
    ("kill redis", Moment("gate.sample", "production.soak#2")),
)
"""Each moment is later in the release than the one before."""


def test_whatever_is_left_of_it_the_release_ends_as_it_says(here: Stage) -> None:
    killed: list[str] = []
    verdicts: dict[str, str] = {}
    ended = None
    with begun(here, "killed-in-turn", SEED) as release:
        for event in release.coming():
            _kill_what_is_next(here, release.id, event, killed)
            if event["kind"] == "gate.verdict":
                verdicts[event["key"]] = event["data"]["verdict"]
            if Moment("converge.started", "production.wave_2").is_now(event):
                assert verdicts.get("production.wave_1") == "PASS", (
                    "no wave without the verdict of the one before"
                )
            ended = outcome_of(event)
        state = release.settled_state()
    if killed[-1:] == [SCHEDULER]:
        # Killed within a transaction it leaves its locks to the workers that live on, until PostgreSQL ends the transaction. That
        # is longer than the lease, so the watchdog takes the release back, and the moments after that never come.
        assert here.machine.ledger.last(release.id, "watchdog.lapsed") is not None, (
            "it ended for another reason"
        )
    else:
        assert killed == [what for what, _ in KILLS]
    assert release.violations(ended, state, fails_clients=True) == []


def _kill_what_is_next(here: Stage, release: str, event: Mapping[str, Any], killed: list[str]) -> None:
    if len(killed) == len(KILLS) or not KILLS[len(killed)][1].is_now(event):
        return
    what = KILLS[len(killed)][0]
    fault = next(fault for fault in FAULTS if fault.name == what)
    fault.inject(here, release, random.Random(SEED))  # noqa: S311 - a seed has to give the same run again
    killed.append(what)
