"""What `./roundtrip calibrate` prints, and what it stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from roundtrip.commands.prepare import STAGES
from roundtrip.rollout import stored_figures
from roundtrip.rollout.figures import Calibration, NotSimulated, Simulation
from roundtrip.rollout.gate_settings import Planned

Found = Sequence[Calibration | NotSimulated]


def tables(found: Found) -> tuple[Table, Table]:
    """Of all gates that were simulated."""
    simulated = _simulated(found)
    return healthy_table(simulated), detection_table(simulated)


def remarks(found: Found, stored: Mapping[str, str]) -> list[str]:
    """What was not simulated, and how the figures stand that are kept for each environment."""
    left_out = [f"{one.stage}, {one.step}: not simulated: {one.why}" for one in _left_out(found)]
    return left_out + [f"{name}: what is stored for the dossier: {state}" for name, state in stored.items()]


def to_json(found: Found) -> dict[str, Any]:
    """Plain JSON."""
    parts: dict[str, Sequence[Calibration | NotSimulated]] = {
        "gates": _simulated(found),
        "not_simulated": _left_out(found),
    }
    return {name: [one.model_dump(mode="json") for one in each] for name, each in parts.items()}


def store(planned: Planned, found: Found, simulation: Simulation, *, command: str, now: datetime) -> None:
    """Keep the figures beside the plan, those of each environment in a file. Raises HostError."""
    for stage in STAGES:
        figures = stored_figures.Stored(
            plan=planned.plan.name,
            environment=planned.environment(stage).name,
            command=command,
            calibrated_at=now,
            simulation=simulation,
            gates=tuple(one for one in _simulated(found) if one.stage == stage),
            not_simulated=tuple(one for one in _left_out(found) if one.stage == stage),
        )
        stored_figures.store(figures)


def standing(planned: Planned) -> dict[str, str]:
    """How the figures stand that are kept for each environment."""
    return {planned.environment(stage).name: stored_figures.standing(planned, stage) for stage in STAGES}


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
        table.add_row(
            one.stage,
            one.step,
            one.gate,
            f"{one.stated_false_alarm:.2%}",
            one.false_alarm_rate,
            str(one.passes),
        )
    return table


def detection_table(calibrations: Sequence[Calibration]) -> Table:
    """The detection time of a harm in one metric, by its size."""
    table = Table(title="One metric of the canary bad: FAIL after (95 %); PASS where the plan tolerates it")
    harms = dict.fromkeys(harm for one in calibrations for harm in one.harms)
    for name in ("stage", "step", "metric", *(f"{harm:.0%} bad" for harm in harms)):
        table.add_column(name)
    for one in calibrations:
        for metric, detections in one.by_metric().items():
            name = f"{metric}, alone" if metric in one.alone else metric
            table.add_row(one.stage, one.step, name, *map(str, detections))
    return table


def _simulated(found: Found) -> list[Calibration]:
    return [one for one in found if isinstance(one, Calibration)]


def _left_out(found: Found) -> list[NotSimulated]:
    return [one for one in found if isinstance(one, NotSimulated)]
