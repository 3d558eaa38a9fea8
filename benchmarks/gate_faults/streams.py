"""Seeded streams of evidence in which several things go wrong, each for a while.

What no stream does is lie within what could have happened: a page that says, from the start and in every line, what a
healthy process would say cannot be told from one. Nor can a series of errors that vanishes before its first error, or
a digit that is wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from benchmarks.gate_faults.world import PROCESSES, World

Mutation = Callable[[str, random.Random], str]


def _value(value: str) -> Mutation:
    def bent(text: str, dice: random.Random) -> str:
        lines = text.splitlines()
        values = [number for number, line in enumerate(lines) if line and not line.startswith("#")]
        if not values:
            return text
        place = dice.choice(values)
        lines[place] = f"{lines[place].rpartition(' ')[0]} {value}"
        return "\n".join(lines) + "\n"

    return bent


def _without(part: str) -> Mutation:
    return lambda text, _dice: "".join(line for line in text.splitlines(True) if part not in line)


def _swapped(old: str, new: str) -> Mutation:
    return lambda text, _dice: text.replace(old, new)


def _cut(text: str, dice: random.Random) -> str:
    return text[: dice.randrange(len(text) + 1)]


def _garbled(text: str, dice: random.Random) -> str:
    place = dice.randrange(len(text) + 1)
    return text[:place] + dice.choice('{}",=\\\n -.eNaIn+#\0') + text[place + 1 :]


MUTATIONS: dict[str, Mutation] = {
    "NaN": _value("NaN"),
    "negative": _value("-7"),
    "infinite": _value("+Inf"),
    "huge": _value("1e17"),
    "half": _value("12.5"),
    "back to zero": _value("0"),
    "no error series": _without('code="503"'),
    "no requests": _without("http_requests_total{"),
    "no page": lambda _text, _dice: "",
    "an error page": lambda _text, _dice: "<html>503</html>",
    "renamed": _swapped("http_requests_total", "api_requests_total"),
    "label renamed": _swapped("code=", "status="),
    "codes renamed": _swapped('code="503"', 'code="5xx"'),
    "cut off": _cut,
    "garbled": _garbled,
    "lines twice": lambda text, _dice: text + text,
}


def stream(seed: int) -> World:
    """The world of one seed: up to four mutations, each of one process or all of an arm, from a sample to another."""
    dice = random.Random(seed)
    troubles = [_trouble(dice) for _ in range(dice.randint(1, 4))]
    restarts = {dice.randrange(2, 30): dice.choice(PROCESSES["canary"]) for _ in range(dice.randrange(3))}
    frozen_from = dice.choice([10**6, dice.randrange(2, 20)])
    steps = {
        dice.randrange(2, 20): dice.choice([-3600.0, -5.0, 3.0, 30.0, 3600.0])
        for _ in range(dice.randrange(2))
    }
    kept: dict[str, str] = {}

    def bend(process: str, text: str, number: int) -> str:
        if process == "canary:1" and number >= frozen_from:
            text = kept.setdefault(process, text)
        for mutation, processes, begin, end in troubles:
            if process in processes and begin <= number < end:
                text = MUTATIONS[mutation](text, dice)
        return text

    rates = {"canary": dice.choice([0.03, 0.06, 0.2]), "stable": 0.005}
    requests = {"canary": dice.choice([3, 10]), "stable": 10}
    world = World(dice, bend, requests, rates, clock_step=lambda number: steps.pop(number, 0.0))
    sleep = world.sleep

    async def sleep_and_restart(seconds: float) -> None:
        await sleep(seconds)
        name = restarts.pop(world.taken, None)
        if name is not None:
            world.restart(name)

    world.sleep = sleep_and_restart  # type: ignore[method-assign]
    return world


def _trouble(dice: random.Random) -> tuple[str, tuple[str, ...], int, int]:
    """Mutation, processes, first sample and the one after the last. It begins after the first sample (see above)."""
    arm = dice.choice(["canary", "canary", "stable"])
    processes = PROCESSES[arm] if dice.random() < 0.5 else (dice.choice(PROCESSES[arm]),)
    begin = dice.randrange(2, 15)
    return dice.choice(sorted(MUTATIONS)), processes, begin, begin + dice.choice([1, 3, 10, 100])
