"""What was simulated of a gate before, as the page shows it beside what the gate did: `gate.started` has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from roundtrip.dossier.rows import Row
from roundtrip.narrative.story import MISSING, GateStory
from roundtrip.rollout.figures import Calibration, Simulation
from roundtrip.rollout.stored_figures import CALIBRATED


@dataclass(frozen=True)
class CalibrationView:
    """What was known of one gate when it began."""

    sentence: str
    header: tuple[str, ...] = ()
    """of the detection times; empty where there are none that hold"""
    rows: tuple[Row, ...] = ()


def calibration_view(gate: GateStory) -> CalibrationView:
    """Figures that held when the gate began, or that there were none."""
    recorded = gate.started.data.get("calibration") if gate.started else None
    if not isinstance(recorded, Mapping) or not recorded:
        return CalibrationView(f"Calibration: {MISSING}.")
    if recorded.get("state") != CALIBRATED:
        why = f": {recorded['why']}" if recorded.get("why") else ""
        return CalibrationView(f"Calibration: {recorded.get('state', MISSING)}{why}.")
    try:
        figures = Calibration.model_validate(recorded.get("figures"))
        simulation = Simulation.model_validate(recorded.get("simulation"))
    except ValidationError:
        return CalibrationView("Calibration: the recorded figures cannot be read.")
    return CalibrationView(_sentence(figures, simulation, recorded), _header(figures), _rows(figures))


def _sentence(figures: Calibration, simulation: Simulation, recorded: Mapping[str, Any]) -> str:
    return (
        f"Calibration, simulated {str(recorded.get('calibrated_at', MISSING))[:10]} for these settings and the expected "
        f"traffic, {simulation.error_rate:.2%} of requests bad: with nothing wrong FAIL is stated at most "
        f"{figures.stated_false_alarm:.2%}, simulated {figures.false_alarm_rate}; PASS after {figures.passes}."
    )


def _header(figures: Calibration) -> tuple[str, ...]:
    return ("FAIL after, when bad is", *(f"{harm:.0%}" for harm in figures.harms))


def _rows(figures: Calibration) -> tuple[Row, ...]:
    return tuple(Row((metric, *map(str, each))) for metric, each in figures.by_metric().items())
