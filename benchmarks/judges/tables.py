"""Tables: what was measured, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from benchmarks.judges.measuring import FALSE_ALARM, HARMS, OURS, Measured, Traffic, peers
from roundtrip.gates.many import Floats
from roundtrip.gates.summary import Times, wilson

Results = Mapping[Traffic, Mapping[str, Measured]]
"""kind of traffic -> judge -> what was measured"""

REFERENCE = {
    ("none", 5.0): ("N1", (669, 112, 23, None, 5)),
    ("none", 50.0): ("N1", (75, 13, 3, None, 1)),
    ("per arm, 10 s", 5.0): ("N5 + A", (1080, 450, 240, None, 13)),
    ("per arm, 10 s", 50.0): ("N5 + A", (330, 300, 23, None, 2)),
}
"""Medians of reference judges on the same kind of traffic; to be reached."""


def print_tables(results: Results) -> None:
    rates = list(dict.fromkeys(where.per_second for where in results))
    for rate in rates:
        _print_alarms({where: found for where, found in results.items() if where.per_second == rate}, rate)
    for where, found in results.items():
        print(f"\n### Seconds to FAIL, median / 95th percentile: {_where(where)}\n")
        _print_row("judge", *(_harm(harm, where.rate) for harm in HARMS))
        _print_row(*["---"] * (len(HARMS) + 1))
        for judge, one in found.items():
            _print_row(judge, *(delay_cell(one.delays.get(harm)) for harm in HARMS))
    print("\n### Seconds to PASS of a canary as good as stable, median / 95th percentile\n")
    _print_row("traffic", *OURS)
    _print_row(*["---"] * (len(OURS) + 1))
    for where, found in results.items():
        _print_row(_where(where), *(delay_cell(found[judge].passes) for judge in OURS))


def _print_alarms(results: Results, rate: float) -> None:
    print(f"\n### False alarms in an hour, %, at {rate:.3g} canary requests/s\n")
    _print_row("judge", *(where.name for where in results))
    _print_row(*["---"] * (len(results) + 1))
    for judge in next(iter(results.values())):
        _print_row(judge, *(alarm_cell(one[judge].false_alarms, one[judge].runs) for one in results.values()))


def print_targets(results: Results) -> None:
    """What was to be reached, and whether it is."""
    rows = [*_alarm_targets(results), *_reference_targets(results), *_speed_targets(results)]
    print(f"\n### Targets: {sum(is_met for *_, is_met in rows)} of {len(rows)} are met\n")
    _print_row("target", "traffic", "wanted", "measured", "")
    _print_row(*["---"] * 5)
    for *cells, is_met in rows:
        _print_row(*cells, "met" if is_met else "**missed**")


Target = tuple[str, str, str, str, bool]
"""what, on which traffic, wanted, measured, whether it is met"""


def _alarm_targets(results: Results) -> Iterator[Target]:
    for where, found in results.items():
        for judge in OURS[1:] if where.is_apart else OURS:
            share = found[judge].false_alarms / found[judge].runs
            yield (
                f"false alarms, {judge}",
                _where(where),
                f"≤ {FALSE_ALARM:.1%}",
                f"{share:.1%}",
                share <= FALSE_ALARM,
            )


def _reference_targets(results: Results) -> Iterator[Target]:
    for where, found in results.items():
        name, medians = REFERENCE.get((where.name, where.per_second), ("", (None,) * len(HARMS)))
        judge = OURS[1] if where.is_apart else OURS[0]
        for harm, median in zip(HARMS, medians, strict=True):
            if median is not None:
                got = Times.of(found[judge].delays[harm]).median
                what = f"{judge}: as fast as the reference {name}, {harm:.0%}"
                yield what, _where(where), f"≤ {median}", _seconds(got), got <= median


def _speed_targets(results: Results) -> Iterator[Target]:
    for where, found in results.items():
        for harm, factor in ((0.10, 10), (0.05, 4)):
            if where.name == "none":
                best = min(Times.of(found[name].delays[harm]).median for name in peers())
                ratio = best / Times.of(found[OURS[0]].delays[harm]).median
                what = f"{OURS[0]}: times faster than the fastest default, {harm:.0%}"
                yield what, _where(where), f"≥ {factor}", f"{ratio:.1f}", ratio >= factor
        if where.is_apart:
            for judge in OURS[1:]:
                wanted = Times.of(found["one minute, tuned"].delays[0.02]).median
                got = Times.of(found[judge].delays[0.02]).median
                what = f"{judge}: not slower than one minute, tuned, 2%"
                # Where neither finds it, nothing is reached.
                is_met = got <= wanted and math.isfinite(got)
                yield what, _where(where), f"≤ {_seconds(wanted)}", _seconds(got), is_met


def alarm_cell(alarms: int, runs: int, *, digits: int = 1) -> str:
    """The share in percent, with its interval."""
    share, low, high = (f"{100 * one:.{digits}f}" for one in (alarms / runs, *wilson(alarms, runs)))
    return f"{share} ({low}–{high})"


def delay_cell(delays: Floats | None) -> str:
    """A dash where there is no such harm."""
    if delays is None:
        return "–"
    times = Times.of(delays)
    lost = f", {100 * (1 - times.share):.0f} % missed" if times.share < 1 else ""
    return f"{_seconds(times.median)} / {_seconds(times.late)}{lost}"


def _harm(harm: float, stable: float) -> str:
    times = f" ({harm / stable:.3g}×)" if stable else ""
    return f"{100 * harm:g} %{times}"


def _where(traffic: Traffic) -> str:
    return f"{traffic.name}, {traffic.per_second:.3g}/s"


def _seconds(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


def _print_row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)
