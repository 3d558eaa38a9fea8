"""Kinds of metric: what each of them counts, which way is worse, and how its counts are told.

| kind | total | bad | worse is |
|---|---|---|---|
| errors, rejected, slow | requests (or orders) | those that failed, were refused, were too slow | more |
| throughput | milliseconds that the version's processes were there | orders that they finished | **less** |
| gauge | looks at a process | looks at which it showed more than the plan's bound | more |

Rules:
1. A throughput is judged by the same bets as an error rate, with the arms in each other's place: "stable finishes no more
   per process and second than the canary" is what FAIL has to refute. So it is meant for work that processes take from
   one queue, and for nothing that a front door deals out. Where the canary runs alone nothing is left to compare it with.
2. One look at a gauge hangs together with the next. So it is judged in blocks of time (`blocks`), whatever the gate's
   other metrics are judged in, a minimum of looks is not asked for, and what earlier gates saw of it bounds nothing.
"""

from __future__ import annotations

from typing import TypeVar

from roundtrip.gates.evidence import Counts
from roundtrip.gates.figure import figure
from roundtrip.plan.model import Gate, Kind

MILLISECONDS = 1000

T = TypeVar("T")


def faced(kind: Kind, canary: T, stable: T) -> tuple[T, T]:
    """What has to be no worse, and what it is held against (rule 1). Its own inverse."""
    return (stable, canary) if kind == "throughput" else (canary, stable)


def is_of_requests(kind: Kind) -> bool:
    """Whether one version's requests may come without any of the other's. Time and looks are those of the processes, which
    are there or missing."""
    return kind not in ("throughput", "gauge")


def amount(kind: Kind, counts: Counts) -> int:
    """What a gate wants to see a minimum of: requests, or finished work."""
    return counts.bad if kind == "throughput" else counts.total


def minimum(kind: Kind, gate: Gate) -> int:
    """How much of it (rule 2)."""
    return 0 if kind == "gauge" else gate.minimum_requests


def unit(kind: Kind) -> str:
    """What it is a number of."""
    return "orders" if kind == "throughput" else "requests"


def counted(kind: Kind) -> str:
    """What `bad` is a number of."""
    names = {"throughput": "finished", "gauge": "looks above the bound", "rejected": "rejected"}
    return names.get(kind, "bad requests")


def measured(kind: Kind) -> str:
    """What the two numbers of its counts are, above or beside them."""
    names = {
        "throughput": "finished, in which time",
        "gauge": "looks above the bound",
        "rejected": "rejected of all",
    }
    return names.get(kind, "bad of all")


def told(kind: Kind, counts: Counts) -> str:
    """The counts in a sentence."""
    if kind == "throughput":
        seconds = counts.total / MILLISECONDS
        rate = f" ({figure(counts.bad / seconds)}/s)" if seconds else ""
        return f"{counts.bad} finished in {seconds:.0f} s of its processes{rate}"
    if kind == "gauge":
        return f"above the bound in {counts} looks"
    return str(counts)
