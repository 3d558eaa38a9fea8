"""What a person asks of a gate: who may, when, and within which bounds; then one `gate.action` in the ledger.

Rules, in the order in which they are asked:
1. Who asks is who triggered the run, as Airflow knows them. Nobody is named: refused.
2. One run asks once. Run again, by whomever, it gives the event or the refusal that is there.
3. Only a gate that was started and has no verdict, of a release of this plan that is neither over nor taken back.
4. A time limit runs from when the person asked: a run that came too late does nothing.
5. Pauses and extensions have their sums bounded by the gate as it was started: longest_pause_seconds, and its own
   deadline once more. An override needs the environment's leave (gate_overrides_by), and a gate that is not paused.
6. A refusal is in the ledger too, with the release that it is about, as `action.refused`.
What an action does to the gate is in `gates.actions`; nothing here decides about evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from roundtrip.errors import GateActionError
from roundtrip.gates.actions import (
    ACTION,
    KINDS,
    LONGEST_REASON,
    MOST_MINUTES,
    SHORTEST_REASON,
    Actions,
    GateAction,
    asked,
)
from roundtrip.gates.gate import recorded_verdict
from roundtrip.ledger.ledger import Event, Ledger
from roundtrip.plan.model import Gate, Plan
from roundtrip.rollout.deploying import NO_WAY_FORWARD
from roundtrip.rollout.naming import named_release

REFUSED = "action.refused"

OverridesBy = Callable[[str], Collection[str]]
"""Name of an environment -> who may override a gate there."""


@dataclass(frozen=True)
class Asked:
    """What one run of the action's DAG asks."""

    run: str
    """id of the run"""
    by: str | None
    """who triggered it; None when Airflow names nobody"""
    at: datetime
    """when they did"""
    release: str
    """id of the release, or of its run in Airflow"""
    gate_id: str
    action: str
    minutes: int
    reason: str


def act(ledger: Ledger, plan: Plan, wanted: Asked, *, overrides_by: OverridesBy, now: datetime) -> GateAction:
    """The action, recorded. Raises GateActionError, StaleTokenError when the rollback begins meanwhile, LedgerError."""
    release = _release(ledger, plan, wanted)
    there = ledger.last(release, ACTION, wanted.run)
    if there is not None:
        return GateAction.of(there)
    refused = ledger.last(release, REFUSED, wanted.run)
    if refused is not None:
        raise _refusal(wanted, f"was refused before: {refused.data['why']}", "trigger a new run")
    try:
        data = _accepted(ledger, release, wanted, overrides_by, now)
    except GateActionError as error:
        about = {**_about(wanted), "by": wanted.by, "why": error.what}
        ledger.append_once(release, REFUSED, wanted.run, about, actor=wanted.by or "nobody")
        raise
    event = ledger.append_once(
        release, ACTION, wanted.run, data, actor=str(wanted.by), refuse_after=NO_WAY_FORWARD
    )
    return GateAction.of(event)


def _release(ledger: Ledger, plan: Plan, wanted: Asked) -> str:
    """The id of the release that is meant by its id, or by the id of its run."""
    meant = wanted.release.strip()
    found = named_release(ledger, plan, meant)
    if found is not None:
        return found
    other = ledger.last(meant, "release.started") if meant else None
    if other is not None:
        what = f"release {meant}: expected one of plan {plan.name}, got one of {other.data['plan']}"
        raise _refusal(wanted, what, f"use the DAG gate_action_{other.data['plan']}")
    raise _refusal(
        wanted, f"no release '{meant}' has begun", "its id is in the gate's log and in the dossier"
    )


def _accepted(
    ledger: Ledger, release: str, wanted: Asked, overrides_by: OverridesBy, now: datetime
) -> dict[str, Any]:
    """Data of the event. Raises GateActionError."""
    if not wanted.by:
        raise _refusal(wanted, "Airflow names nobody who triggered this run", "trigger it in the UI")
    _require_form(wanted)
    started = _open_gate(ledger, release, wanted)
    until = min(wanted.at, now) + timedelta(minutes=wanted.minutes)
    if until <= now:
        what = f"asked for at {wanted.at:%H:%M:%S} UTC for {wanted.minutes} min, and that is over"
        raise _refusal(wanted, what, "trigger a new run")
    gate = Gate.model_validate(started.data["gate"])
    actions = Actions(asked(ledger, release, wanted.gate_id))
    if wanted.action == "extend":
        until = _began(ledger, release, started) + _most(gate, actions, wanted, now)
    elif wanted.action == "pause":
        _require_short(gate, actions, wanted, now, until)
    elif wanted.action == "resume":
        until = now
        if actions.pause(now) is None:
            raise _refusal(wanted, "is not paused", "nothing to resume")
    else:
        _require_leave(wanted, actions, str(started.data["environment"]), overrides_by, now)
    moments = {"at": now.isoformat(), "until": until.isoformat()}
    return {**_about(wanted), "by": wanted.by, **moments}


def _require_form(wanted: Asked) -> None:
    """The form asks for the same; who triggers by the API may have sent anything."""
    if wanted.action not in KINDS:
        raise _refusal(wanted, f"expected one of {', '.join(KINDS)}, got '{wanted.action}'", "choose one")
    if not 1 <= wanted.minutes <= MOST_MINUTES:
        raise _refusal(wanted, f"expected 1 to {MOST_MINUTES} minutes, got {wanted.minutes}", "give others")
    length = len(_one_line(wanted.reason))
    if not SHORTEST_REASON <= length <= LONGEST_REASON:
        what = f"expected a reason of {SHORTEST_REASON} to {LONGEST_REASON} characters, got {length}"
        raise _refusal(wanted, what, "say why, for whoever reads the dossier")


def _open_gate(ledger: Ledger, release: str, wanted: Asked) -> Event:
    """Its `gate.started`."""
    for kind in (*NO_WAY_FORWARD, "promoted", "release.outcome"):
        ended = ledger.last(release, kind)
        if ended is not None:
            what = f"the release is over: {kind} is in the ledger since {ended.at:%Y-%m-%d %H:%M:%S} UTC"
            raise _refusal(wanted, what, "nothing of it goes forward any more")
    started = ledger.last(release, "gate.started", wanted.gate_id)
    if started is None:
        begun = [str(event.key) for event in ledger.events(release, kind="gate.started")]
        what = f"has not begun; begun are: {', '.join(begun) or 'none'}"
        raise _refusal(wanted, what, "wait until its task is deferred")
    verdict = recorded_verdict(ledger, release, wanted.gate_id)
    if verdict is not None and verdict.verdict is not None:
        what = f"is decided: {verdict.verdict.name}: {verdict.reason}"
        raise _refusal(wanted, what, "a verdict is final; release again")
    return started


def _began(ledger: Ledger, release: str, started: Event) -> datetime:
    """When the gate's first sample was taken; when it was started while there is none."""
    first = ledger.last(release, "gate.sample", f"{started.key}#0")
    return datetime.fromisoformat(first.data["at"]) if first else started.at


def _most(gate: Gate, actions: Actions, wanted: Asked, now: datetime) -> timedelta:
    """How long the gate may take with this extension, as it stands now. Raises GateActionError."""
    before, more = sum(60.0 * one.minutes for one in actions.extensions()), 60.0 * wanted.minutes
    if before + more > gate.deadline_seconds:
        left = max(0.0, gate.deadline_seconds - before)
        what = f"{more:g} s more; of the {gate.deadline_seconds:g} s that may be added {left:g} s are left"
        raise _refusal(wanted, what, "extend it by less, or pause it")
    return timedelta(seconds=gate.deadline_seconds + before + more + actions.paused_seconds(now))


def _require_short(gate: Gate, actions: Actions, wanted: Asked, now: datetime, until: datetime) -> None:
    """All pauses together, this one included, stay within the gate's bound."""
    this = GateAction(0, "pause", str(wanted.by), wanted.reason, wanted.minutes, now, until)
    all_seconds = Actions((*actions.each, this)).paused_seconds()
    if all_seconds > gate.longest_pause_seconds:
        what = f"pauses of {all_seconds:.0f} s together, at most {gate.longest_pause_seconds:g} s are allowed"
        raise _refusal(wanted, what, "pause for less (longest_pause_seconds of the plan)")


def _require_leave(
    wanted: Asked, actions: Actions, environment: str, overrides_by: OverridesBy, now: datetime
) -> None:
    allowed = sorted(overrides_by(environment))
    if wanted.by not in allowed:
        what = (
            f"{wanted.by} may not override a gate in {environment}; allowed: {', '.join(allowed) or 'nobody'}"
        )
        raise _refusal(wanted, what, "ask one of them, or change gate_overrides_by of the environment")
    pause = actions.pause(now)
    if pause is not None:
        raise _refusal(wanted, f"is {pause.sentence()}", f"speak with {pause.by}, and resume it first")


def _about(wanted: Asked) -> dict[str, Any]:
    return {
        "gate_id": wanted.gate_id,
        "action": wanted.action,
        "minutes": wanted.minutes,
        "reason": _one_line(wanted.reason),
    }


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _refusal(wanted: Asked, what: str, remedy: str) -> GateActionError:
    return GateActionError(
        what, where=f"{wanted.action} of gate {wanted.gate_id} of {wanted.release}", remedy=remedy
    )
