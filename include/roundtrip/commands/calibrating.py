"""The tables of `./roundtrip calibrate`."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.table import Table

from roundtrip.rollout.calibration import (
    HARMS,
    Calibration,
    Found,
    Place,
    Simulation,
    Times,
    calibrations,
    not_simulated,
)

LEAST_SHOWN = 0.005
"""shares below it would be shown as 0 %"""

__all__ = ["Place", "Simulation", "calibrations", "harm_table", "healthy_table", "not_simulated"]


def healthy_table(calibrations: Iterable[Calibration]) -> Table:
    """False alarms and times to pass of a version that is as good as stable."""
    table = Table(title="Nothing wrong")
    for name in (
        "stage",
        "step",
        "gate",
        "FAIL, stated",
        "FAIL, simulated (95 % interval)",
        "PASS after (95 %)",
    ):
        table.add_column(name)
    for one in calibrations:
        low, high = one.interval
        simulated = f"{one.false_alarms / one.runs:.2%} ({low:.2%} to {high:.2%}) of {one.runs}"
        table.add_row(
            one.stage, one.step, one.gate, f"{one.stated_false_alarm:.2%}", simulated, _times(one.passes)
        )
    return table


def harm_table(calibrations: Iterable[Calibration]) -> Table:
    """When a harm in one metric is found, by its size."""
    table = Table(title="One metric of the canary bad: FAIL after (95 %); PASS where the plan tolerates it")
    for name in ("stage", "step", "metric", *(f"{harm:.0%} bad" for harm in HARMS)):
        table.add_column(name)
    for one in calibrations:
        for metric in dict.fromkeys(found.metric for found in one.found):
            cells = [_cell(found) for found in one.found if found.metric == metric]
            table.add_row(one.stage, one.step, metric, *cells)
    return table


def _cell(found: Found) -> str:
    """Times to FAIL where nearly all gates came to it, and the shares of the other ends."""
    fails = found.fails
    parts = [_times(fails)] if math.isfinite(fails.median) else []
    if not math.isfinite(fails.late):
        undecided = 1 - fails.share - found.passed_share
        shares = {"FAIL": fails.share, "PASS": found.passed_share, "undecided": undecided}
        parts += [f"{name} {share:.0%}" for name, share in shares.items() if share >= LEAST_SHOWN]
    return ", ".join(parts)


def _times(times: Times) -> str:
    late = f" ({times.late:.0f} s)" if math.isfinite(times.late) else ""
    return f"{times.median:.0f} s{late}" if math.isfinite(times.median) else "never"
