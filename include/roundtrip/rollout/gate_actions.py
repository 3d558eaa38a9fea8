"""What a person asks of a gate: who may, when, and within which bounds; then one `gate.action` in the ledger.

Rules, beside those of `asking`:
1. Only a gate that was started and has no verdict, of a release that is neither over nor taken back.
2. A time limit runs from when the person asked: a run that came too late does nothing.
3. Pauses and extensions have their sums bounded by the gate as it was started: longest_pause_seconds, and its own
   deadline once more. An override needs the environment's leave (gate_overrides_by), and a gate that is not paused.
What an action does to the gate is in `gates.actions`; nothing here decides about evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from roundtrip.errors import GateActionError
from roundtrip.gates.actions import (
    ACTION,
    KINDS,
    MOST_MINUTES,
    Actions,
    GateAction,
    asked,
)
from roundtrip.gates.gate import recorded_verdict
from roundtrip.ledger.ledger import Event, Ledger
from roundtrip.plan.model import Gate, Plan
from roundtrip.rollout.asking import Allowed, Form, ask, require_going, require_leave
from roundtrip.rollout.deploying import NO_WAY_FORWARD


@dataclass(frozen=True)
class Asked(Form):
    """What one run of the action's DAG asks."""

    dag = "gate_action"
    error = GateActionError

    at: datetime
    """when they did"""
    gate_id: str
    minutes: int

    @property
    def where(self) -> str:
        return f"{self.action} of gate {self.gate_id} of {self.release}"

    def about(self) -> dict[str, Any]:
        return {
            "gate_id": self.gate_id,
            "action": self.action,
            "minutes": self.minutes,
            "reason": self.why,
        }


def act(ledger: Ledger, plan: Plan, wanted: Asked, *, overrides_by: Allowed, now: datetime) -> GateAction:
    """The action, recorded. Raises GateActionError, StaleTokenError when the rollback begins meanwhile, LedgerError."""

    def accept(release: str) -> Event:
        data = _accepted(ledger, release, wanted, overrides_by, now)
        return ledger.append_once(
            release, ACTION, wanted.run, data, actor=str(wanted.by), refuse_after=NO_WAY_FORWARD
        )

    def recorded(release: str) -> Event | None:
        return ledger.last(release, ACTION, wanted.run)

    return GateAction.of(ask(ledger, plan, wanted, recorded=recorded, accept=accept))


def _accepted(
    ledger: Ledger, release: str, wanted: Asked, overrides_by: Allowed, now: datetime
) -> dict[str, Any]:
    """Data of the event. Raises GateActionError."""
    _require_form(wanted)
    started = _open_gate(ledger, release, wanted)
    until = min(wanted.at, now) + timedelta(minutes=wanted.minutes)
    if until <= now:
        what = f"asked for at {wanted.at:%H:%M:%S} UTC for {wanted.minutes} min, and that is over"
        raise wanted.refused(what, "trigger a new run")
    gate = Gate.model_validate(started.data["gate"])
    actions = Actions(asked(ledger, release, wanted.gate_id))
    if wanted.action == "extend":
        until = _began(ledger, release, started) + _most(gate, actions, wanted, now)
    elif wanted.action == "pause":
        _require_short(gate, actions, wanted, now, until)
    elif wanted.action == "resume":
        until = now
        if actions.pause(now) is None:
            raise wanted.refused("is not paused", "nothing to resume")
    else:
        _require_leave(wanted, actions, str(started.data["environment"]), overrides_by, now)
    moments = {"at": now.isoformat(), "until": until.isoformat()}
    return {**wanted.about(), "by": wanted.by, **moments}


def _require_form(wanted: Asked) -> None:
    """The form asks for the same; who triggers by the API may have sent anything."""
    if wanted.action not in KINDS:
        raise wanted.refused(f"expected one of {', '.join(KINDS)}, got '{wanted.action}'", "choose one")
    if not 1 <= wanted.minutes <= MOST_MINUTES:
        raise wanted.refused(f"expected 1 to {MOST_MINUTES} minutes, got {wanted.minutes}", "give others")


def _open_gate(ledger: Ledger, release: str, wanted: Asked) -> Event:
    """Its `gate.started`."""
    require_going(ledger, release, wanted)
    started = ledger.last(release, "gate.started", wanted.gate_id)
    if started is None:
        begun = [str(event.key) for event in ledger.events(release, kind="gate.started")]
        what = f"has not begun; begun are: {', '.join(begun) or 'none'}"
        raise wanted.refused(what, "wait until its task is deferred")
    verdict = recorded_verdict(ledger, release, wanted.gate_id)
    if verdict is not None and verdict.verdict is not None:
        what = f"is decided: {verdict.verdict.name}: {verdict.reason}"
        raise wanted.refused(what, "a verdict is final; release again")
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
        raise wanted.refused(what, "extend it by less, or pause it")
    return timedelta(seconds=gate.deadline_seconds + before + more + actions.paused_seconds(now))


def _require_short(gate: Gate, actions: Actions, wanted: Asked, now: datetime, until: datetime) -> None:
    """All pauses together, this one included, stay within the gate's bound."""
    this = GateAction(0, "pause", str(wanted.by), wanted.reason, wanted.minutes, now, until)
    all_seconds = Actions((*actions.each, this)).paused_seconds()
    if all_seconds > gate.longest_pause_seconds:
        what = f"pauses of {all_seconds:.0f} s together, at most {gate.longest_pause_seconds:g} s are allowed"
        raise wanted.refused(what, "pause for less (longest_pause_seconds of the plan)")


def _require_leave(
    wanted: Asked, actions: Actions, environment: str, overrides_by: Allowed, now: datetime
) -> None:
    require_leave(wanted, environment, overrides_by, to="override a gate", setting="gate_overrides_by")
    pause = actions.pause(now)
    if pause is not None:
        raise wanted.refused(f"is {pause.sentence()}", f"speak with {pause.by}, and resume it first")
