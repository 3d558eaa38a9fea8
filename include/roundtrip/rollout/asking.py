"""What a person asks of a release by a form in the UI: who asks, when it is refused, and what stays recorded of that.

Rules, in the order in which they are asked:
1. The release is meant by its id, or by the id of its run in Airflow, and is one of the form's plan.
2. One run asks once. Run again, by whomever, it gives the event or the refusal that is there.
3. Who asks is who triggered the run, as Airflow knows them. Nobody is named, or the reason is none: refused.
4. Then what is asked has rules of its own; `require_going` and `require_leave` are what these share.
5. A refusal is in the ledger too, with the release that it is about, as `action.refused`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from roundtrip.errors import RoundtripError
from roundtrip.gates.actions import LONGEST_REASON, SHORTEST_REASON
from roundtrip.ledger.ledger import Event, Ledger
from roundtrip.plan.model import Plan
from roundtrip.release import release_id
from roundtrip.rollout.deploying import NO_WAY_FORWARD

REFUSED = "action.refused"

Allowed = Callable[[str], Collection[str]]
"""Name of an environment -> who may ask it there."""


@dataclass(frozen=True)
class Form(ABC):
    """What one run of a form's DAG asks."""

    dag: ClassVar[str]
    """what the id of the form's DAG begins with"""
    error: ClassVar[type[RoundtripError]]
    """of a refusal"""

    run: str
    """id of the run"""
    by: str | None
    """who triggered it; None when Airflow names nobody"""
    release: str
    """id of the release, or of its run in Airflow"""
    action: str
    """what is asked"""
    reason: str

    @property
    @abstractmethod
    def where(self) -> str:
        """What it is asked of, for a refusal."""

    @abstractmethod
    def about(self) -> Mapping[str, Any]:
        """What is asked, without who and why not, as plain JSON."""

    @property
    def why(self) -> str:
        """The reason in one line."""
        return " ".join(self.reason.split())

    def refused(self, what: str, remedy: str) -> RoundtripError:
        """The error of a refusal."""
        return self.error(what, where=self.where, remedy=remedy)


def ask(
    ledger: Ledger,
    plan: Plan,
    form: Form,
    *,
    recorded: Callable[[str], Event | None],
    accept: Callable[[str], Event],
) -> Event:
    """What `accept` records for the release that is meant, or `recorded` of this run before.

    Raises `form.error`, LedgerError, and what `accept` raises.
    """
    release = _release(ledger, plan, form)
    there = recorded(release)
    if there is not None:
        return there
    before = ledger.last(release, REFUSED, form.run)
    if before is not None:
        raise form.refused(f"was refused before: {before.data['why']}", "trigger a new run")
    try:
        _require_person_and_reason(form)
        return accept(release)
    except form.error as error:
        about = {**form.about(), "by": form.by, "why": error.what}
        ledger.append_once(release, REFUSED, form.run, about, actor=form.by or "nobody")
        raise


def require_going(ledger: Ledger, release: str, form: Form) -> None:
    """Raises `form.error` when the release is over, or goes back."""
    for kind in (*NO_WAY_FORWARD, "promoted", "release.outcome"):
        ended = ledger.last(release, kind)
        if ended is not None:
            what = f"the release is over: {kind} is in the ledger since {ended.at:%Y-%m-%d %H:%M:%S} UTC"
            raise form.refused(what, "nothing of it goes forward any more")


def require_leave(form: Form, environment: str, allowed: Allowed, *, to: str, setting: str) -> None:
    """Raises `form.error` unless the environment's `setting` names who asks; `to`: what they may do then."""
    names = sorted(allowed(environment))
    if form.by not in names:
        what = f"{form.by} may not {to} in {environment}; allowed: {', '.join(names) or 'nobody'}"
        raise form.refused(what, f"ask one of them, or change {setting} of the environment")


def _release(ledger: Ledger, plan: Plan, form: Form) -> str:
    meant = form.release.strip()
    ids = (meant, *(release_id(f"{kind}_{plan.name}", meant) for kind in ("release", "staging_rehearsal")))
    for one in ids:
        started = ledger.last(one, "release.started") if one else None
        if started is None:
            continue
        if started.data["plan"] != plan.name:
            what = f"release {one}: expected one of plan {plan.name}, got one of {started.data['plan']}"
            raise form.refused(what, f"use the DAG {form.dag}_{started.data['plan']}")
        return one
    raise form.refused(
        f"no release '{meant}' has begun", "its id is in the log of the task that waits and in the dossier"
    )


def _require_person_and_reason(form: Form) -> None:
    """The UI asks for the same; who triggers by the API may have sent anything."""
    if not form.by:
        raise form.refused("Airflow names nobody who triggered this run", "trigger it in the UI")
    if not SHORTEST_REASON <= len(form.why) <= LONGEST_REASON:
        what = f"expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, got {len(form.why)}"
        raise form.refused(what, "say why, for whoever reads the dossier")
