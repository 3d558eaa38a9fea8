"""What promotes takes a gate that a person overrode for passed, and says in whose name, in its log and in the outcome."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from roundtrip.errors import PromotionError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_plan
from roundtrip.release import Release
from roundtrip.rollout.outcome import Outcome, decide
from roundtrip.rollout.verdicts import require_pass
from tests.dags.signed import PLAN

BY = {"by": "ada", "reason": "the numbers are fine", "action": "override"}


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A release with one gate that passed and one that was overridden."""

    def nowhere(_: object) -> None:
        raise AssertionError("nothing here is deployed")

    home = Home(tmp_path)
    ledger = Ledger(home.ledger_url)
    for number, overridden in ((1, None), (2, BY)):
        reason = (
            f"overridden by ada: {BY['reason']}; after 9 s" if overridden else "api-errors: canary 0 of 900"
        )
        data = {"verdict": "PASS", "reason": reason, "overridden": overridden}
        ledger.append_once("r1", "gate.verdict", f"production.wave_{number}", data)
    return Release("r1", load_plan(PLAN), {}, ledger, home, nowhere, nowhere)


def test_an_override_lets_the_release_go_on_and_the_log_says_in_whose_name(release, caplog):
    with caplog.at_level(logging.WARNING):
        require_pass(release, ["production.wave_1", "production.wave_2"])
    assert caplog.messages == [
        "gate production.wave_2: PASS, overridden by ada: the numbers are fine; after 9 s"
    ]
    with pytest.raises(PromotionError, match="no verdict"):
        require_pass(release, ["production.wave_1", "production.wave_2", "production.soak"])


def test_the_outcome_of_a_promoted_release_names_who_overrode_which_gate(release):
    release.ledger.append_once("r1", "promoted", "there", {"environment": "there"})
    ended = decide(release)
    assert ended.outcome is Outcome.PROMOTED
    assert ended.reason == "there runs 1.1.0; gate production.wave_2 overridden by ada: the numbers are fine"
