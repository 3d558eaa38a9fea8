"""`PYTHONPATH=include python -m benchmarks.judges [--quick]`: prints the tables of docs/gates.md, in Markdown.

Rules:
1. False alarms are counted on an hour without harm, in which nothing that passes ends the run, as in a soak; with
   Wilson's 95 % interval. Delays are on hours whose harm begins with the first second.
2. "tuned": the success rate that is asked for is set so that at most TUNED_FALSE_ALARM of this very traffic's runs
   without harm fail. Nobody can do that before a release; it is the best that such a rule could be.
3. Same seed, same tables.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks.judges.peers import Argo, Flagger, Kayenta, success_rates
from benchmarks.judges.traffic import NOISES, STABLE_ERROR_RATE, Cell, draw
from roundtrip.gates.history import judged
from roundtrip.gates.many import Arms, Floats
from roundtrip.gates.summary import Times, wilson
from roundtrip.plan.model import Gate

Rule = Callable[[Arms], Floats]
"""Seconds until each run fails; infinite for never."""

RATES = (0.2, 5.0, 50.0)
HARMS = (0.01, 0.02, 0.05, 0.10, 0.20)
TUNED_FALSE_ALARM = 0.01
FALSE_ALARM = 0.01
BURST_RATIO = 5.0
OURS = ("Roundtrip, independent", "Roundtrip, bursts ≤ 5×", "Roundtrip, bursts of any size")

REFERENCE = {
    ("none", 5.0): ("N1", (669, 112, 23, None, 5)),
    ("none", 50.0): ("N1", (75, 13, 3, None, 1)),
    ("per arm, 10 s", 5.0): ("N5 + A", (1080, 450, 240, None, 13)),
    ("per arm, 10 s", 50.0): ("N5 + A", (330, 300, 23, None, 2)),
}
"""Medians of reference judges on the same kind of traffic; to be reached."""


@dataclass
class Measured:
    """One judge on one kind of traffic."""

    false_alarms: int = 0
    runs: int = 0
    delays: dict[float, Floats] = field(default_factory=dict)
    """by the canary's error rate"""
    passes: Floats | None = None


def plan_gate(**changes: object) -> Gate:
    metric = {"name": "errors", "kind": "errors", "source": "front-door", "service": "api"}
    fields = {"metrics": [metric], "false_alarm": FALSE_ALARM, "deadline_seconds": 3600, **changes}
    return Gate.model_validate(fields)


def our_gates(cell: Cell) -> dict[str, Gate]:
    """Ours, told how long bursts last where there are some, else as if they were of 10 s."""
    bursts = {"noise": "bursts", "burst_seconds": cell.noise.burst_seconds or 10}
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


def measured(cell: Cell, *, harmless_runs: int, harmful_runs: int, seed: int) -> dict[str, Measured]:
    """All judges on one kind of traffic."""
    harmless = draw(cell, harmless_runs, seed)
    kinds = [harmless, *(draw(cell.with_harm(rate), harmful_runs, seed) for rate in HARMS)]
    together = joined(kinds)
    found: dict[str, Measured] = {}
    for name, gate in our_gates(cell).items():
        outcomes = judged(gate, {"errors": together})
        found[name] = _measured(outcomes.failed, harmless_runs, harmful_runs)
        found[name].passes = outcomes.passed[:harmless_runs]
    for name, rule in {**peers(), **tuned(harmless)}.items():
        found[name] = _measured(rule(together), harmless_runs, harmful_runs)
    return found


def joined(kinds: Sequence[Arms]) -> Arms:
    """All runs as one batch: a judge of many gates takes hardly longer for more of them."""
    return Arms(
        np.concatenate([one.canary for one in kinds]),
        np.concatenate([one.canary_bad for one in kinds]),
        np.concatenate([one.stable for one in kinds]),
        np.concatenate([one.stable_bad for one in kinds]),
    )


def _measured(failed: Floats, harmless_runs: int, harmful_runs: int) -> Measured:
    alarms = int(np.isfinite(failed[:harmless_runs]).sum())
    each = failed[harmless_runs:].reshape(len(HARMS), harmful_runs)
    return Measured(alarms, harmless_runs, dict(zip(HARMS, each, strict=True)))


def _seconds(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


def alarm_cell(one: Measured) -> str:
    low, high = wilson(one.false_alarms, one.runs)
    return f"{100 * one.false_alarms / one.runs:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def delay_cell(delays: Floats) -> str:
    times = Times.of(delays)
    lost = f", {100 * (1 - times.share):.0f} % missed" if times.share < 1 else ""
    return f"{_seconds(times.median)} / {_seconds(times.late)}{lost}"


Results = Mapping[tuple[str, float], Mapping[str, Measured]]
"""(noise, requests a second) -> judge -> what was measured"""


def print_tables(results: Results) -> None:
    judges = list(next(iter(results.values())))
    noises = list(dict.fromkeys(noise for noise, _ in results))
    rates = list(dict.fromkeys(rate for _, rate in results))
    for rate in rates:
        print(f"\n### False alarms in an hour, %, at {rate:g} canary requests/s\n")
        _print_row("judge", *noises)
        _print_row(*["---"] * (len(noises) + 1))
        for judge in judges:
            _print_row(judge, *(alarm_cell(results[noise, rate][judge]) for noise in noises))
    for noise, rate in results:
        print(f"\n### Seconds to FAIL, median / 95th percentile: noise {noise}, {rate:g} canary requests/s\n")
        _print_row("judge", *(f"{100 * harm:g} % ({harm / STABLE_ERROR_RATE:g}×)" for harm in HARMS))
        _print_row(*["---"] * (len(HARMS) + 1))
        for judge in judges:
            _print_row(judge, *(delay_cell(results[noise, rate][judge].delays[harm]) for harm in HARMS))
    print("\n### Seconds to PASS of a canary as good as stable, median / 95th percentile\n")
    _print_row("judge", *(f"{noise}, {rate:g}/s" for noise, rate in results))
    _print_row(*["---"] * (len(results) + 1))
    for judge in OURS:
        each = (results[key][judge].passes for key in results)
        _print_row(judge, *(delay_cell(passes) for passes in each if passes is not None))


def print_targets(results: Results) -> None:
    """What was to be reached, and whether it is."""
    print("\n### Targets\n")
    _print_row("target", "traffic", "wanted", "measured", "")
    _print_row(*["---"] * 5)
    judges = OURS[1:]
    for (noise, rate), found in results.items():
        where = f"{noise}, {rate:g}/s"
        for judge in OURS if "per arm" not in noise else judges:
            share = found[judge].false_alarms / found[judge].runs
            _print_target(
                f"false alarms, {judge}", where, f"≤ {FALSE_ALARM:.1%}", f"{share:.1%}", share <= FALSE_ALARM
            )
    for (noise, rate), (name, medians) in REFERENCE.items():
        found = results[noise, rate]
        judge = OURS[0] if noise == "none" else OURS[1]
        for harm, median in zip(HARMS, medians, strict=True):
            if median is not None:
                got = Times.of(found[judge].delays[harm]).median
                what = f"{judge}: as fast as the reference {name}, {harm:.0%}"
                _print_target(what, f"{noise}, {rate:g}/s", f"≤ {median}", _seconds(got), got <= median)
    for (noise, rate), found in results.items():
        for harm, factor in ((0.10, 10), (0.05, 4)):
            if noise == "none":
                best = min(Times.of(found[name].delays[harm]).median for name in peers())
                got = Times.of(found[OURS[0]].delays[harm]).median
                ratio = best / got
                what = f"{OURS[0]}: times faster than the fastest default, {harm:.0%}"
                _print_target(what, f"{noise}, {rate:g}/s", f"≥ {factor}", f"{ratio:.1f}", ratio >= factor)
        if "per arm" in noise:
            for judge in judges:
                wanted = Times.of(found["one minute, tuned"].delays[0.02]).median
                got = Times.of(found[judge].delays[0.02]).median
                what = f"{judge}: not slower than one minute, tuned, 2%"
                # Where neither finds it, nothing is reached.
                is_met = got <= wanted and math.isfinite(got)
                _print_target(what, f"{noise}, {rate:g}/s", f"≤ {_seconds(wanted)}", _seconds(got), is_met)


def _print_target(what: str, where: str, wanted: str, got: str, is_met: bool) -> None:
    _print_row(what, where, wanted, got, "met" if is_met else "**missed**")


def _print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.judges", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the runs: coarse")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    harmless, harmful = (100, 20) if options.quick else (1000, 100)
    began = time.monotonic()
    results = {}
    for noise in NOISES:
        for rate in RATES:
            cell = Cell(noise, rate)
            results[noise.name, rate] = measured(
                cell, harmless_runs=harmless, harmful_runs=harmful, seed=options.seed
            )
            print(f"{noise.name}, {rate:g}/s: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{harmless} runs without harm and {harmful} with each harm, an hour each; seed {options.seed}.")
    print_tables(results)
    print_targets(results)


if __name__ == "__main__":
    main()
