"""Measuring: all judges on one kind of traffic.

Rules:
1. False alarms are counted on an hour without harm, in which nothing that passes ends the run, as in a soak; with
   Wilson's 95 % interval. Delays are on hours whose harm begins with the first second.
2. "tuned": the success rate that is asked for is set so that at most TUNED_FALSE_ALARM of this very traffic's runs
   without harm fail. Nobody can do that before a release; it is the best that such a rule could be.
3. Same seed, same tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from benchmarks.judges.peers import Argo, Flagger, Kayenta, success_rates
from roundtrip.gates.history import judged
from roundtrip.gates.many import Arms, Floats
from roundtrip.plan.model import Gate

Rule = Callable[[Arms], Floats]
"""Seconds until each run fails; infinite for never."""

HARMS = (0.01, 0.02, 0.05, 0.10, 0.20)
TUNED_FALSE_ALARM = 0.01
FALSE_ALARM = 0.01
BURST_RATIO = 5.0
OURS = ("Roundtrip, independent", "Roundtrip, bursts ≤ 5×", "Roundtrip, bursts of any size")


class Traffic(Protocol):
    """A kind of traffic: `traffic.Cell` or `recording.Recorded`."""

    @property
    def name(self) -> str: ...

    @property
    def per_second(self) -> float:
        """Requests of the canary."""

    @property
    def rate(self) -> float:
        """Stable's share of bad requests."""

    @property
    def burst_seconds(self) -> int:
        """How long the judges are told that bursts last; 0: there are none."""

    @property
    def is_apart(self) -> bool:
        """Whether an arm, or one replica of it, may have a burst that the others have not."""

    def harmless(self, runs: int, seed: int) -> Arms:
        """Gates whose canary is as good as stable."""

    def harmful(self, rate: float, runs: int, seed: int) -> Arms:
        """Gates whose canary, or what is bad of it, fails in `rate` of its requests."""


@dataclass
class Measured:
    """One judge on one kind of traffic."""

    false_alarms: int = 0
    runs: int = 0
    delays: dict[float, Floats] = field(default_factory=dict)
    """by the canary's error rate, where that is above stable's"""
    passes: Floats | None = None


def plan_gate(**changes: object) -> Gate:
    metric = {"name": "errors", "kind": "errors", "source": "front-door", "service": "api"}
    fields = {"metrics": [metric], "false_alarm": FALSE_ALARM, "deadline_seconds": 3600, **changes}
    return Gate.model_validate(fields)


def our_gates(traffic: Traffic) -> dict[str, Gate]:
    """Ours, told how long bursts last where there are some, else as if they were of 10 s."""
    bursts = {"noise": "bursts", "burst_seconds": traffic.burst_seconds or 10}
    kinds = (plan_gate(), plan_gate(**bursts, burst_ratio=BURST_RATIO), plan_gate(**bursts))
    return dict(zip(OURS, kinds, strict=True))


def peers() -> dict[str, Rule]:
    """At their own defaults, or their documentation's example."""
    return {
        "Argo, 1 min, limit 0": Argo().failed,
        "Argo, its example (5 min, limit 3)": Argo(interval=300, failure_limit=3).failed,
        "Flagger, threshold 1": Flagger(threshold=1).failed,
        "Flagger, threshold 5": Flagger().failed,
        "Kayenta, 1 h": Kayenta().failed,
    }


def tuned(harmless: Arms) -> dict[str, Rule]:
    """Argo's and Flagger's rules with the success rate that rule 2 at the head describes."""
    rates = np.sort(np.nan_to_num(success_rates(harmless, 60), nan=1.0), axis=1)
    most = int(TUNED_FALSE_ALARM * rates.shape[0])

    def limit(failures: int) -> float:
        """Asked for a little less than this, the run with the next worst minute would not fail."""
        return float(np.sort(rates[:, failures - 1])[most])

    argo, flagger = Argo(success=limit(1)), Flagger(success=limit(5))
    # An empty interval is no failure here: a rule that is tuned would be told so.
    return {
        "one minute, tuned": lambda arms: argo.failed(_filled(arms)),
        "Flagger 5, tuned": lambda arms: flagger.failed(_filled(arms)),
    }


def _filled(arms: Arms) -> Arms:
    """With a good request in each minute that has none."""
    runs, seconds = arms.canary.shape
    empty = arms.canary.reshape(runs, seconds // 60, 60).sum(axis=2) == 0
    canary = arms.canary.copy()
    canary[:, ::60] += empty
    return Arms(canary, arms.canary_bad, arms.stable, arms.stable_bad)


def measured(traffic: Traffic, *, harmless_runs: int, harmful_runs: int, seed: int) -> dict[str, Measured]:
    """All judges on one kind of traffic."""
    harmless = traffic.harmless(harmless_runs, seed)
    harms = [rate for rate in HARMS if rate > traffic.rate]
    together = joined([harmless, *(traffic.harmful(rate, harmful_runs, seed) for rate in harms)])
    found: dict[str, Measured] = {}
    for name, gate in our_gates(traffic).items():
        outcomes = judged(gate, {"errors": together})
        found[name] = _measured(outcomes.failed, harmless_runs, harms)
        found[name].passes = outcomes.passed[:harmless_runs]
    for name, rule in {**peers(), **tuned(harmless)}.items():
        found[name] = _measured(rule(together), harmless_runs, harms)
    return found


def joined(kinds: Sequence[Arms]) -> Arms:
    """All runs as one batch: a judge of many gates takes hardly longer for more of them."""
    return Arms(
        np.concatenate([one.canary for one in kinds]),
        np.concatenate([one.canary_bad for one in kinds]),
        np.concatenate([one.stable for one in kinds]),
        np.concatenate([one.stable_bad for one in kinds]),
    )


def _measured(failed: Floats, harmless_runs: int, harms: Sequence[float]) -> Measured:
    alarms = int(np.isfinite(failed[:harmless_runs]).sum())
    each = np.split(failed[harmless_runs:], len(harms)) if harms else []
    return Measured(alarms, harmless_runs, dict(zip(harms, each, strict=True)))
