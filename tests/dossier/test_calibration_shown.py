"""The dossier shows what was simulated of a gate before, or that nothing holds; never figures of other settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import html5lib
import pytest

from roundtrip.dossier import write
from roundtrip.plan.home import Home
from roundtrip.rollout.figures import Calibration, Detection, Ends
from roundtrip.rollout.stored_figures import CALIBRATED, NOT_CALIBRATED, OTHER_SETTINGS
from tests.narrative.synthetic import STAGING, Told

GATE = "staging.canary"


def figures() -> dict[str, Any]:
    found = Ends(median_seconds=21, late_seconds=33, share=1)
    lost = Ends(median_seconds=None, late_seconds=None, share=0.18)
    return Calibration(
        stage="staging",
        step="canary",
        gate="wave",
        valid_for="sha256:ab",
        alone=(),
        runs=1000,
        stated_false_alarm=0.01,
        false_alarms=3,
        false_alarm_interval=(0.001, 0.0088),
        passes=Ends(median_seconds=24, late_seconds=41, share=0.997),
        detections=(
            Detection(metric="api-errors", bad_share=0.02, fails=lost, passed_share=0.82),
            Detection(metric="api-errors", bad_share=0.2, fails=found, passed_share=0),
        ),
    ).model_dump(mode="json")


def shown(folder: Path, **known: Any) -> str:
    """The words of the gates' section."""
    told = Told(folder)
    told.opened()
    told.gate(GATE, STAGING, canary_error_rate=0.003, **known)
    html = write(told.release, told.ledger, Home(folder), told.plan).read_text(encoding="utf-8")
    page = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(html)
    section = page.find(".//section[@id='gates']")
    assert section is not None
    return " ".join(" ".join(section.itertext()).split())


def known(**changes: Any) -> dict[str, Any]:
    return {
        "state": CALIBRATED,
        "calibrated_at": "2026-11-25T22:00:00+00:00",
        "simulation": {"runs": 1000, "error_rate": 0.001, "seed": 1},
        "figures": figures(),
        **changes,
    }


def test_figures_that_held_are_shown_beside_what_the_gate_did(tmp_path: Path) -> None:
    text = shown(tmp_path, calibration=known())
    assert "simulated 2026-11-25 for these settings and the expected traffic, 0.10% of requests bad" in text
    assert "FAIL is stated at most 1.00%, simulated 0.30% (0.10% to 0.88%) of 1000" in text
    assert "PASS after 24 s (41 s)" in text
    assert "FAIL after, when bad is 2% 20% api-errors FAIL 18%, PASS 82% 21 s (33 s)" in text


@pytest.mark.parametrize(
    ("calibration", "sentence"),
    [
        (
            {"state": NOT_CALIBRATED, "why": "no figures are stored for here"},
            "not calibrated: no figures are",
        ),
        (known(state=OTHER_SETTINGS), "Calibration: calibrated for other settings."),
        (known(figures={"runs": 1000}), "the recorded figures cannot be read"),
        ({}, "Calibration: not recorded."),
    ],
    ids=["none", "stale", "unreadable", "not-recorded"],
)
def test_figures_that_do_not_hold_are_not_shown(
    calibration: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    text = shown(tmp_path, calibration=calibration)
    assert sentence in text
    assert "PASS after" not in text
    assert "when bad is" not in text


def test_a_gate_from_before_there_were_figures_says_that_none_is_recorded(tmp_path: Path) -> None:
    assert "Calibration: not recorded." in shown(tmp_path)
