"""One seeded run: a release, something that happens to it, and what was seen when it had ended."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.chaos import observer
from tests.chaos.faults import Fault, injected
from tests.chaos.invariants import quiet
from tests.chaos.kinds import Kind
from tests.chaos.moments import MOMENTS, Moment
from tests.chaos.releases import Begun, begun, outcome_of
from tests.chaos.stage import Stage

LONGEST_DELAY_SECONDS = 2.0
HARMFUL_SHARE = 0.5
HARM_AT = Moment("gate.sample", "production.wave_2#1")


@dataclass(frozen=True)
class Drawn:
    """What a seed stands for."""

    seed: int
    moment: Moment
    fault: Fault
    delay: float
    seconds: float
    is_harmful: bool

    @classmethod
    def of(cls, seed: int, faults: Sequence[Fault]) -> Drawn:
        dice = random.Random(seed)  # noqa: S311 - a seed has to give the same run again
        moment, fault = dice.choice(MOMENTS), dice.choice(faults)
        delay = dice.uniform(0, LONGEST_DELAY_SECONDS)
        seconds = dice.uniform(fault.most_seconds / 4, fault.most_seconds)
        is_harmful = moment.needs_harm or (not moment.needs_health and dice.random() < HARMFUL_SHARE)
        return cls(seed, moment, fault, delay, seconds, is_harmful)

    @classmethod
    def read(cls, line: str, faults: Sequence[Fault]) -> Drawn:
        """What `to_json` wrote. Raises KeyError for a fault or moment that is not there any more."""
        kept = json.loads(line)
        moments = {str(moment): moment for moment in MOMENTS}
        by_name = {fault.name: fault for fault in faults}
        return cls(
            kept["seed"],
            moments[kept["moment"]],
            by_name[kept["fault"]],
            kept["delay"],
            kept["seconds"],
            kept["is_harmful"],
        )

    def to_json(self) -> str:
        """What a later draw of other faults and moments does not change."""
        kept = {"seed": self.seed, "moment": str(self.moment), "fault": self.fault.name}
        kept |= {"delay": self.delay, "seconds": self.seconds, "is_harmful": self.is_harmful}
        return json.dumps(kept)

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        version = "harmful" if self.is_harmful else "harmless"
        return (
            f"seed {self.seed}: {self.fault.name}{lasting}, {self.delay:.1f} s after {self.moment}, {version}"
        )


def regressions(kind: Kind) -> list[Drawn]:
    """Every draw in which an invariant was broken once."""
    lines = kind.regressions.read_text(encoding="utf-8").splitlines()
    return [Drawn.read(line, kind.faults) for line in lines if line.startswith("{")]


@dataclass(frozen=True)
class Result:
    """What became of it."""

    seed: int
    fault: str
    moment: str
    is_harmful: bool
    was_injected: bool
    """whether the moment came"""
    outcome: str | None
    was_broken: bool
    """and then taken back by the command that it named"""
    lapsed: bool
    """whether the watchdog acted"""
    seconds: float
    requests: int
    failed: int
    violations: tuple[str, ...]
    revision: str = ""
    """of the product"""


def run(stage: Stage, drawn: Drawn) -> Result:
    """Carry it out."""
    with begun(stage, f"seed-{drawn.seed}", drawn.seed) as release:
        began = time.monotonic()
        was_injected, outcome = _followed(release, drawn)
        seconds = time.monotonic() - began
        state = release.settled_state()
        was_broken = outcome == "BROKEN" and drawn.fault.may_break
        missing = _as_it_said(release) if was_broken else []
    events = release.events()
    if was_broken:
        outcome = str(observer.last(events, "release.outcome")["outcome"])
    was_harmed = drawn.is_harmful and any(HARM_AT.is_now(event) for event in events)
    found = release.violations(outcome, state, is_harmful=was_harmed, fails_clients=drawn.fault.fails_clients)
    return Result(
        drawn.seed,
        drawn.fault.name,
        str(drawn.moment),
        drawn.is_harmful,
        was_injected,
        outcome,
        was_broken,
        any(event["kind"] == "watchdog.lapsed" for event in events),
        round(seconds, 1),
        release.account.requests,
        len(release.account.failures),
        (*missing, *found),
    )


def _as_it_said(release: Begun) -> list[str]:
    """Do what a BROKEN release says to do; what it has not said."""
    missing = list(quiet(release.events(), release.id))
    release.stage.take_back(release.id)
    return missing


def _followed(release: Begun, drawn: Drawn) -> tuple[bool, str | None]:
    """Whether the fault was injected on the way, and the outcome; None when there is none within the limit."""
    stage, was_injected, outcome = release.stage, False, None
    with ExitStack() as until_the_end:
        for event in release.coming():
            if drawn.is_harmful and HARM_AT.is_now(event):
                observer.kill_switch(stage.front_door, on=True)
            if drawn.moment.is_now(event) and not was_injected:
                time.sleep(drawn.delay)
                dice = random.Random(drawn.seed)  # noqa: S311 - as above
                until_the_end.enter_context(injected(drawn.fault, stage, release.id, dice, drawn.seconds))
                was_injected = True
            outcome = outcome_of(event)
    return was_injected, outcome


def keep(file: Path, result: Result) -> None:
    """Append it."""
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result)) + "\n")


def kept(file: Path) -> list[Result]:
    """What was appended."""
    if not file.exists():
        return []
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [Result(**{**line, "violations": tuple(line["violations"])}) for line in lines]
