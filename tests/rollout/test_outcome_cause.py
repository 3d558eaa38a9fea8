"""The reason of an outcome is what decided against the release, not what went wrong on the way and was tried again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from roundtrip.rollout.outcome import Outcome, decide
from tests.dags.signed import PLAN

TRIED_AGAIN = ("task.failed", {"task": "production.wave_1", "error": "TargetError: the proxy did not answer"})
GENERIC = ("task.failed", {"task": "production.require_promoted", "error": "PromotionError: not promoted"})
FAIL = ("gate.verdict", {"verdict": "FAIL", "reason": "api-errors: canary 12 of 80"})
PASS = ("gate.verdict", {"verdict": "PASS", "reason": "api-errors: canary 0 of 80"})
LAPSE = ("watchdog.lapsed", {"reason": "nobody has renewed the lease for 60 s"})
REFUSED = ("verify.refused", {"reason": "ArtefactError: another digest"})


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([TRIED_AGAIN, FAIL, GENERIC], "gate g: FAIL: api-errors: canary 12 of 80"),
        ([TRIED_AGAIN, LAPSE, GENERIC], "nobody has renewed the lease for 60 s"),
        ([TRIED_AGAIN, REFUSED], "ArtefactError: another digest"),
        ([PASS, TRIED_AGAIN, GENERIC], "TargetError: the proxy did not answer"),
        ([PASS], "a task was skipped, cancelled or lost"),
    ],
)
def test_what_decided_is_the_reason(
    tmp_path: Path, events: list[tuple[str, dict[str, Any]]], reason: str
) -> None:
    def nowhere(_: object) -> None:
        raise AssertionError("nothing here is deployed")

    home = Home(tmp_path)
    ledger = Ledger(home.ledger_url)
    for kind, data in events:
        if kind == "gate.verdict":
            ledger.append_once("r1", kind, "g", data)
        else:
            ledger.append("r1", kind, data)
    ended = decide(Release("r1", load_plan(PLAN), {}, ledger, home, nowhere, nowhere))
    assert ended.outcome is Outcome.STOPPED
    assert ended.reason == f"nothing was deployed; {reason}"
