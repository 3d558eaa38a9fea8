"""To every task of the release DAG, everything that can happen to it: how the run ends, and what then stands.

The tasks are those of the DAG itself, so none can be forgotten. Each row goes on from a story that was told once up to
the task's turn: PROMOTING, where nothing else goes wrong, or TAKEN_BACK, where the gate of the last wave says FAIL.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pytest

from roundtrip.rollout.outcome import Outcome
from sections.checklist import ITEMS
from tests.dags import checkpoint
from tests.dags.checkpoint import Checkpoint
from tests.dags.scheduler import load
from tests.dags.signed import Signed
from tests.dags.story import STAGES, Happening, Story

DAG = load("release", "release")
TASKS = [task.task_id for task in DAG.topological_sort()]
ROLLBACK = [name for name in TASKS if name.startswith("rollback.")]
BEFORE_DEPLOYING = TASKS[: TASKS.index("staging.place_canary")]
LAST = "outcome"
ENDED = "(the run has ended)"
BY_HAND = (Happening.MARKED_SUCCESS, Happening.SKIPPED)

READ_FROM_THE_LEDGER = [f"checklist.{item}" for item in ITEMS] + ["production.promote"]
"""Steps of which only the ledger is asked whether they were done."""
AFTER_THE_PROMOTION = ["production.post_launch", "production.require_promoted"]
DONE_AGAIN_BY_THE_NEXT = [
    "staging.deploy_stable",
    "staging.snapshot",
    "production.verify",
    "production.flags_off",
]
"""Steps whose work the one after them does too, so that one marked success without having run leaves no gap."""
MADE_UP_FOR = ["rollback.begin", "rollback.pull_traffic", "rollback.stop_new_services"]
"""Steps of the rollback that the next one includes; it runs also when they have failed, not when they were skipped."""
TELLS_ONLY = ["rollback.notify", "rollback.communicate", "production.require_promoted"]


class Base(Enum):
    """What the release is on its way to when something happens; the value is the gate that says FAIL."""

    PROMOTING = None
    TAKEN_BACK = "production.wave_2"


@dataclass(frozen=True)
class Row:
    base: Base
    task_id: str
    happening: Happening

    @property
    def id(self) -> str:
        return f"{self.base.name.lower()}-{self.task_id}-{self.happening.name.lower()}"


def rows() -> list[Row]:
    """Every task and every happening, on the base or bases where the task has its turn."""
    ends_either_way = (LAST, "production.require_promoted")
    return [
        Row(base, task_id, happening)
        for base, task_id, happening in itertools.product(Base, TASKS, Happening)
        if (task_id in ROLLBACK) == (base is Base.TAKEN_BACK) or task_id in ends_either_way
    ]


Tell = Callable[..., Story]


@pytest.fixture(scope="session")
def tell(metadata_database: None, stories_folder: Path, redis_server: str, signed: Signed) -> Tell:
    """Makes stories, each in a folder of its own."""
    numbers = itertools.count(1)

    def told(base: Base = Base.PROMOTING, since: Checkpoint | None = None) -> Story:
        folder = stories_folder / f"story-{next(numbers)}"
        folder.mkdir()
        return Story(DAG, folder, redis_server, signed, bad_gate=base.value, since=since)

    return told


@pytest.fixture(scope="session")
def checkpoints(tell: Tell, stories_folder: Path) -> Mapping[Base, Mapping[str, Checkpoint]]:
    """Of each base, what was before each task's turn, and what is when the run has ended."""
    return {base: _checkpoints(tell(base), stories_folder / base.name) for base in Base}


def _checkpoints(story: Story, folder: Path) -> dict[str, Checkpoint]:
    kept: dict[str, Checkpoint] = {}
    urls = {stage: target.redis_url() for stage, target in story.targets.items()}

    def keep(moment: str) -> None:
        kept[moment] = checkpoint.take(story.folder, folder / str(len(kept)), urls, story.done)

    story.before = keep
    story.run()
    keep(ENDED)
    return kept


def test_a_release_to_which_nothing_happens_is_promoted(tell: Tell) -> None:
    story = tell()
    assert story.run() == "success"
    assert story.recorded() == ["PROMOTED"]
    _promoted(story)
    assert {state for name, state in story.dag_run.states().items() if name in ROLLBACK} == {"skipped"}
    assert story.dag_run.order[-1] == LAST


@pytest.mark.parametrize(
    "gate", ["staging.canary", "production.wave_1", "production.wave_2", "production.soak"]
)
def test_a_release_whose_gate_says_fail_is_taken_back(tell: Tell, gate: str) -> None:
    story = tell()
    story.bad_gate = gate
    assert story.run() == "failed"
    assert story.recorded() == ["ROLLED BACK"]
    _stable(story)
    assert [name for name in story.dag_run.order if name in ROLLBACK] == ROLLBACK
    assert story.dag_run.order[-1] == LAST


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_every_task_and_everything_that_can_happen_to_it(
    row: Row, tell: Tell, checkpoints: Mapping[Base, Mapping[str, Checkpoint]]
) -> None:
    is_cleared = row.happening is Happening.CLEARED
    story = tell(row.base, checkpoints[row.base][ENDED if is_cleared else row.task_id])
    state = story.clear(row.task_id) if is_cleared else story.run(row.happening, row.task_id)
    expected = ending(row)
    assert story.recorded()[-1:] == ([expected.value] if is_stated(row) else [])
    assert state == ("success" if is_green(row, expected) else "failed")
    assert story.dag_run.order[-1] == LAST
    ran = [name for name in story.dag_run.order if name in ROLLBACK]
    if expected in (Outcome.PROMOTED, Outcome.STOPPED):
        assert ran in ([], ["rollback.begin"]), "it asks the ledger, and is skipped"
    elif row.base is Base.PROMOTING:
        assert ran == ROLLBACK
    STANDS[expected](story)


def ending(row: Row) -> Outcome:
    """How the release has to end: one sentence a rule, the first that applies."""
    task, what = row.task_id, row.happening
    harmless = what in (Happening.KILLED, Happening.CLEARED) or task == LAST
    if row.base is Base.TAKEN_BACK:
        return Outcome.ROLLED_BACK if harmless or is_taken_back_all_the_same(task, what) else Outcome.BROKEN
    if harmless or task in AFTER_THE_PROMOTION:
        return Outcome.PROMOTED
    if what is Happening.LOST and task in READ_FROM_THE_LEDGER:
        return Outcome.PROMOTED
    if what is Happening.MARKED_SUCCESS and task in DONE_AGAIN_BY_THE_NEXT:
        return Outcome.PROMOTED
    if task in BEFORE_DEPLOYING:
        return Outcome.STOPPED
    if task == "staging.place_canary" and what not in ACTED:
        return Outcome.STOPPED
    return Outcome.ROLLED_BACK


ACTED = (Happening.TIMES_OUT, Happening.LOST, Happening.MARKED_FAILED)


def is_taken_back_all_the_same(task: str, what: Happening) -> bool:
    """Whether the rollback is whole, and proven, although this happened to one of its tasks."""
    if task in TELLS_ONLY:
        return True
    if task in MADE_UP_FOR:
        return what is not Happening.SKIPPED
    return task == "rollback.verify_restored" and what is Happening.LOST


def is_stated(row: Row) -> bool:
    """Whether `outcome` has said it before whatever happened to it: it records it last, before the page is written."""
    return row.task_id != LAST or row.happening in (
        Happening.LOST,
        Happening.MARKED_FAILED,
        Happening.KILLED,
        Happening.CLEARED,
    )


def is_green(row: Row, outcome: Outcome) -> bool:
    """Green for nothing but promoted; a person who marks the last task by hand sees what he marked (decision 0003)."""
    if row.task_id == LAST and row.happening not in (Happening.KILLED, Happening.CLEARED):
        return row.happening in BY_HAND
    return outcome is Outcome.PROMOTED


def _promoted(story: Story) -> None:
    for stage in STAGES:
        assert story.at(stage) == story.promoted(stage)
        assert story.keys(stage) == {"orders", "risk:exposure"}
    assert story.is_merged()


def _stable(story: Story) -> None:
    for stage in STAGES:
        assert story.at(stage) == story.stable(stage)
        assert story.keys(stage) == {"orders"}
    assert not story.is_merged()


def _somebody_serves(story: Story) -> None:
    """Not proven restored, and said so; clients are answered all the same, and nothing of it is final."""
    for stage in STAGES:
        assert sum(p.weight_percent for p in story.at(stage).placements if p.service == "api") == 100
    assert story.outcome() is not Outcome.PROMOTED


STANDS: Mapping[Outcome, Callable[[Story], None]] = {
    Outcome.PROMOTED: _promoted,
    Outcome.ROLLED_BACK: _stable,
    Outcome.STOPPED: _stable,
    Outcome.BROKEN: _somebody_serves,
}
