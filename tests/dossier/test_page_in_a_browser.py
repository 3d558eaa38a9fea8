"""The page in a real browser: nothing of a table is off the page and no word of a gate is broken, on a screen and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome

from roundtrip.dossier import write
from roundtrip.plan.home import Home
from tests.dossier.test_calibration_shown import known
from tests.end_to_end import browser
from tests.narrative.synthetic import PRODUCTION, Told, promoted

A_SCREEN = {"width": 1280, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
PAPER = {**A_SCREEN, "width": 681}
"""what the margins of the style sheet leave of A4, at 96 dots an inch"""

OFF_THE_PAGE = """
const right = document.body.getBoundingClientRect().right;
return [...document.querySelectorAll('th, td')]
  .filter(cell => cell.getBoundingClientRect().right > right + 1 || cell.scrollWidth > cell.clientWidth + 1)
  .map(cell => cell.innerText);
"""
BROKEN_WORDS = """
const broken = [];
for (const cell of document.querySelectorAll('#gates th, #gates td')) {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const range = document.createRange();
    for (const word of texts.currentNode.data.matchAll(/[^\\s-]+/g)) {
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
      if (lines.size > 1) broken.push(word[0]);
    }
  }
}
return broken;
"""


def with_a_soak(folder: Path) -> Told:
    """A release whose last gate compares with what is recorded of stable, beside counts that are sentences."""
    told = promoted(folder)
    recorded = {
        "since": "2026-11-28T01:46:07+00:00",
        "until": "2026-11-28T01:46:42+00:00",
        "total": 2335,
        "bad": 0,
    }
    gate = {
        "environment": PRODUCTION,
        "canary": "1.1.0",
        "stable": "1.0.0",
        "gate": {},
        "calibration": known(),
    }
    told.say("gate.started", {**gate, "baselines": {"ops-ui-errors": recorded}}, "production.a_soak")
    metrics = {
        "ops-ui-errors": evidence("errors", (1842, 0), (2335, 0)),
        "order-throughput": evidence("throughput", (57_000, 396), (19_000, 133)),
        "orders-waiting": evidence("gauge", (57, 0), (19, 0)),
    }
    verdict = {"verdict": "PASS", "reason": "", "metrics": metrics, "seconds": 20.0}
    told.say("gate.verdict", verdict, "production.a_soak")
    return told


def evidence(kind: str, canary: tuple[int, int], stable: tuple[int, int]) -> dict[str, Any]:
    arms = {name: {"total": n, "bad": bad} for name, (n, bad) in (("canary", canary), ("stable", stable))}
    values = {
        "evidence_against": 5036.2,
        "against_needed": 1400.0,
        "evidence_for": 5.65e10,
        "for_needed": 40.0,
    }
    return {**arms, **values, "kind": kind}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dossier")
    told = with_a_soak(folder)
    return write(told.release, told.ledger, Home(folder), told.plan)


@pytest.mark.parametrize(("medium", "size"), [("screen", A_SCREEN), ("print", PAPER)])
def test_every_column_is_on_the_page_and_every_word_of_a_gate_whole(
    medium: str, size: dict[str, Any], page: Path, tmp_path: Path
) -> None:
    with browser.chromium(tmp_path) as chrome:
        laid_out(chrome, page, medium, size)
        assert chrome.execute_script(OFF_THE_PAGE) == []
        assert chrome.execute_script(BROKEN_WORDS) == []
        assert "5040 of 1400" in browser.text(chrome)
        assert "5.65e10 of 40" in browser.text(chrome)
        assert "order-throughput\nfinished, in which time" in browser.text(chrome)
        assert "recorded 2026-11-28 01:46:07 to 2026-11-28 01:46:42 UTC" in browser.text(chrome)


def laid_out(chrome: Chrome, page: Path, medium: str, size: dict[str, Any]) -> None:
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium})
    chrome.get(page.as_uri())
