"""The tables of `./roundtrip calibrate`."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.table import Table

from roundtrip.gates.summary import Times
from roundtrip.rollout.calibration import HARMS, Calibration, Detection

LEAST_SHOWN = 0.005
"""shares below it would be shown as 0 %"""


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


def detection_table(calibrations: Iterable[Calibration]) -> Table:
    """The detection time of a harm in one metric, by its size."""
    table = Table(title="One metric of the canary bad: FAIL after (95 %); PASS where the plan tolerates it")
    for name in ("stage", "step", "metric", *(f"{harm:.0%} bad" for harm in HARMS)):
        table.add_column(name)
    for one in calibrations:
        for metric in dict.fromkeys(detection.metric for detection in one.detections):
            cells = [_cell(detection) for detection in one.detections if detection.metric == metric]
            table.add_row(one.stage, one.step, metric, *cells)
    return table


def _cell(detection: Detection) -> str:
    """Times to FAIL where nearly all gates came to it, and the shares of the other ends."""
    fails = detection.fails
    parts = [_times(fails)] if math.isfinite(fails.median) else []
    if not math.isfinite(fails.late):
        undecided = 1 - fails.share - detection.passed_share
        shares = {"FAIL": fails.share, "PASS": detection.passed_share, "undecided": undecided}
        parts += [f"{name} {share:.0%}" for name, share in shares.items() if share >= LEAST_SHOWN]
    return ", ".join(parts)


def _times(times: Times) -> str:
    late = f" ({times.late:.0f} s)" if math.isfinite(times.late) else ""
    return f"{times.median:.0f} s{late}" if math.isfinite(times.median) else "never"
