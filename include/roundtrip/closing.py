"""The last step of a release: states the outcome, writes the dossier, and makes the run's colour true.

Rules:
1. The outcome is what the ledger's events amount to (`rollout.outcome`), never what Airflow thinks of the tasks.
2. People are told it, unless the rollback has; then GitHub, if it answers; the dossier is written after that, so that it says
   who and what could not be told.
3. It returns only for PROMOTED (a drill: only when the drill was passed), so the run is green for nothing else.
4. BROKEN says at once what serves, what was tried and which command to type. Also when the release's own events were
   altered: then nothing is concluded from them, and no dossier is made.
"""

from __future__ import annotations

import logging
from typing import Any

from roundtrip.dossier import write_dossier
from roundtrip.errors import LedgerError, LedgerUnavailableError, PromotionError, RollbackError
from roundtrip.narrative.client_traffic import record_traffic
from roundtrip.notifying import messages
from roundtrip.notifying.telling import notify
from roundtrip.release import Release
from roundtrip.rollback.left import left_by
from roundtrip.rollout import on_github
from roundtrip.rollout.outcome import Ended, Outcome, decide
from roundtrip.traffic.rate import ask_for_traffic

log = logging.getLogger(__name__)


def close(release: Release) -> None:
    """Record the outcome and write the dossier. Raises PromotionError unless promoted."""
    ended = _record(release)
    if ended.outcome is not Outcome.PROMOTED:
        raise PromotionError(
            f"{ended.outcome.value}: {ended.reason}",
            where=release.id,
            remedy=_next(release, ended.outcome),
        )


def close_rollback(release: Release) -> None:
    """Record the outcome of a rollback by hand. Raises RollbackError unless everything was restored."""
    ended = _record(release)
    if ended.outcome is not Outcome.ROLLED_BACK:
        raise RollbackError(
            f"{ended.outcome.value}: {ended.reason}",
            where=release.id,
            remedy=_next(release, ended.outcome),
        )


def assess_drill(release: Release) -> None:
    """A drill passes when the gate said FAIL and everything was restored within the plan's budget."""
    ended = _record(release)
    verdicts = [
        e for e in release.ledger.events(release.id, kind="gate.verdict") if e.data["verdict"] == "FAIL"
    ]
    if ended.outcome is not Outcome.ROLLED_BACK or not verdicts:
        raise RollbackError(
            f"the drill ended {ended.outcome.value} with {len(verdicts)} FAIL verdicts, expected ROLLED BACK after a FAIL: "
            f"{ended.reason}",
            where=f"drill {release.id}",
            remedy="the fault was not found or not taken back; read the dossier before the next release",
        )
    placed = release.ledger.events(release.id, kind="deployed")[0].at
    restored = release.ledger.events(release.id, kind="rollback.verified")[-1].at
    detection, recovery = (
        (verdicts[0].at - placed).total_seconds(),
        (restored - verdicts[0].at).total_seconds(),
    )
    budget = release.plan.rollback.budget_seconds
    data = {
        "passed": detection + recovery <= budget,
        "detection_seconds": detection,
        "recovery_seconds": recovery,
        "budget_seconds": budget,
    }
    release.ledger.append(release.id, "drill.assessed", data)
    log.info("found after %.1f s, restored after another %.1f s, budget %g s", detection, recovery, budget)
    if not data["passed"]:
        raise RollbackError(
            f"detection and recovery: expected at most {budget:g} s, got {detection + recovery:.1f} s",
            where=f"drill {release.id}",
            remedy="see where the time went in the dossier's timeline",
        )


def _record(release: Release) -> Ended:
    try:
        ended = decide(release)
    except LedgerUnavailableError:
        raise
    except LedgerError as error:
        ended = _state(release, Ended(Outcome.BROKEN, f"its ledger cannot be trusted: {error}"))
        _tell(release, ended)
        return ended
    record_traffic(release)
    ask_for_traffic(release.home, release.environments, full=None)
    ended = _state(release, ended)
    notify(release, messages.ended(release, ended.outcome.value))
    on_github.withdraw(release, ended.outcome)
    on_github.show(release)
    path = write_dossier(release)
    log.info("%s: %s; dossier: %s", ended.outcome.value, ended.reason, path)
    return ended


def _state(release: Release, ended: Ended) -> Ended:
    """The outcome, in the ledger."""
    data: dict[str, Any] = {"outcome": ended.outcome.value, "reason": ended.reason}
    if ended.outcome is Outcome.BROKEN:
        left = left_by(release)
        ended = Ended(ended.outcome, f"{ended.reason}; {left}")
        data |= {"reason": ended.reason, "left": left.to_json()}
    release.ledger.append(release.id, "release.outcome", data)
    return ended


def _tell(release: Release, ended: Ended) -> None:
    """People, as far as the ledger still names what they are told of."""
    try:
        notify(release, messages.ended(release, ended.outcome.value))
    except LedgerError as error:
        log.error("nobody was told: %s", error)


def _next(release: Release, outcome: Outcome) -> str:
    return {
        Outcome.ROLLED_BACK: "the old release serves; the post-mortem draft is beside the dossier",
        Outcome.STOPPED: "nothing was touched; mend what the reason says, then release again",
        Outcome.BROKEN: f"{release.way_back}; docs/runbook.md, 'BROKEN'",
        Outcome.PROMOTED: "the new release was left in place",
    }[outcome]
