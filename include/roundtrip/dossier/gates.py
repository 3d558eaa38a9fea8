"""The gates of a release as the page shows them: verdict, numbers, plots, and whether a replay agrees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from roundtrip.dossier.calibration import CalibrationView, calibration_view
from roundtrip.dossier.evidence import Point, replay
from roundtrip.dossier.plots import errors_plot, evidence_plot
from roundtrip.errors import EvidenceError
from roundtrip.gates.evidence import Baseline, Counts
from roundtrip.gates.figure import figure
from roundtrip.gates.hours import Beside
from roundtrip.gates.kinds import counted, measured, told
from roundtrip.ledger.ledger import Event
from roundtrip.narrative.checked import seconds_in_words
from roundtrip.narrative.story import MISSING, GateStory, Story
from roundtrip.narrative.timeline import acted
from roundtrip.plan.model import Kind

TONES: Mapping[str, str] = {"PASS": "good", "FAIL": "bad"}
LEAST_POINTS = 2
"""fewer and there is nothing to draw"""


@dataclass(frozen=True)
class MetricView:
    """One metric of a gate."""

    name: str
    measured: str
    """what its counts are: bad of all, where nothing else is said"""
    canary: str
    stable: str
    """beside the canary; where that ran alone what is recorded of it"""
    recorded: str
    """since when and until when it was recorded; empty where stable ran beside the canary"""
    against: str
    favour: str
    evidence_plot: Markup | None
    """None when there are too few samples to draw"""
    counted: str
    """what the other plot counts"""
    errors_plot: Markup | None
    """None also when neither version had a bad request: a line along the axis says less than a sentence"""
    no_errors: str
    """that sentence, with how many requests it is about"""


@dataclass(frozen=True)
class GateView:
    """One gate."""

    id: str
    verdict: str
    tone: str
    reason: str
    about: str
    """what was compared, where, for how long"""
    replay: str
    """what the samples say when they are judged again"""
    is_replay_equal: bool
    actions: tuple[str, ...]
    """what people asked of it, in order"""
    pulled: str | None
    """when the canary's traffic was taken away; None when it was not"""
    metrics: tuple[MetricView, ...]
    calibration: CalibrationView
    """what was simulated of it before"""


def gate_views(story: Story) -> tuple[GateView, ...]:
    """All gates in the order in which they began."""
    return tuple(_view(gate) for gate in story.gates())


def _view(gate: GateStory) -> GateView:
    again = replay(gate)
    is_equal = again.verdict == gate.title or (again.verdict is None and gate.verdict is None)
    return GateView(
        id=gate.id,
        verdict=gate.title,
        tone=TONES.get(gate.title, "note"),
        reason=gate.reason,
        about=_about(gate),
        replay=_replayed(gate, again.verdict, again.problem),
        is_replay_equal=is_equal and again.problem is None,
        actions=tuple(f"{e.at:%H:%M:%S} {acted(e)}: {e.data.get('reason', MISSING)}" for e in gate.actions),
        pulled=f"{gate.pulled.at:%H:%M:%S}" if gate.pulled else None,
        metrics=_metrics(gate, again.curves),
        calibration=calibration_view(gate),
    )


def _about(gate: GateStory) -> str:
    started = gate.started.data if gate.started else {}
    verdict = gate.verdict.data if gate.verdict else {}
    seconds = verdict.get("seconds")
    took = seconds_in_words(round(seconds, 1)) if seconds is not None else "not decided"
    versions = f"{started.get('canary', MISSING)} against {started.get('stable', MISSING)}"
    return f"{versions} in {started.get('environment', MISSING)}, {took}, {len(gate.samples)} samples"


def _replayed(gate: GateStory, verdict: str | None, problem: str | None) -> str:
    if problem is not None:
        return problem
    if gate.verdict is None:
        return f"judged again, the samples give {verdict or 'no verdict'}; none is recorded"
    if verdict == gate.title:
        return "judged again when this page was written, the same samples give the same verdict"
    return f"judged again, the samples give {verdict or 'no verdict'}, recorded is {gate.title}"


def _metrics(gate: GateStory, curves: Mapping[str, tuple[Point, ...]]) -> tuple[MetricView, ...]:
    recorded: Mapping[str, Any] = gate.verdict.data.get("metrics", {}) if gate.verdict else {}
    names = dict.fromkeys([*recorded, *curves])
    alone: Mapping[str, Any] = gate.started.data.get("baselines", {}) if gate.started else {}
    beside = {name: _recorded(one, gate.samples) for name, one in alone.items()}
    return tuple(
        _metric(gate.id, name, recorded.get(name), curves.get(name, ()), beside.get(name)) for name in names
    )


def _metric(
    gate_id: str,
    name: str,
    recorded: Mapping[str, Any] | None,
    points: tuple[Point, ...],
    beside: tuple[str, str] | None,
) -> MetricView:
    final = recorded or (points[-1].evidence.to_json() if points else {})
    kind: Kind = final.get("kind", "errors")
    has_plot = len(points) >= LEAST_POINTS
    has_bad = has_plot and any(counts.bad for point in points for counts in (point.canary, point.stable))
    stable, when = beside or (_counts(kind, final.get("stable")), "")
    return MetricView(
        name=name,
        measured=measured(kind),
        canary=_counts(kind, final.get("canary")),
        stable=stable,
        recorded=when,
        against=_evidence(final, "evidence_against", "against_needed"),
        favour=_evidence(final, "evidence_for", "for_needed"),
        evidence_plot=evidence_plot(points, f"{gate_id}, {name}: evidence over time") if has_plot else None,
        counted=counted(kind),
        errors_plot=errors_plot(points, f"{gate_id}, {name}: {counted(kind)} over time") if has_bad else None,
        no_errors=_no_errors(kind, points[-1]) if has_plot and not has_bad else "",
    )


def _no_errors(kind: Kind, last: Point) -> str:
    if kind == "gauge":
        canary, stable = told(kind, last.canary), told(kind, last.stable)
        return f"Since the gate began: canary {canary}, stable {stable}."
    return f"Since the gate began: canary 0 bad of {last.canary.total}, stable 0 bad of {last.stable.total}."


def _counts(kind: Kind, counts: Mapping[str, int] | None) -> str:
    return _unbroken(told(kind, Counts(counts.get("total", 0), counts.get("bad", 0)))) if counts else MISSING


def _unbroken(counts: str) -> str:
    """A narrow cell breaks its lines elsewhere than before the sign."""
    return counts.replace(" %", "\N{NO-BREAK SPACE}%")


def _recorded(baseline: Mapping[str, Any], samples: Sequence[Event]) -> tuple[str, str]:
    """What is recorded of stable; where it is by hour of the day, of the hours that were compared with."""
    try:
        recorded = Baseline.from_json(baseline)
        if samples:
            first, last = (datetime.fromisoformat(samples[at].data["at"]) for at in (0, -1))
            recorded = Beside(recorded).over(first, last)
        if recorded.counts.total == 0:
            return "recorded: nothing", ""
        return _unbroken(str(recorded.counts)), f"recorded {recorded.when()}".strip()
    except (EvidenceError, KeyError, TypeError, ValueError):
        return MISSING, ""


def _evidence(final: Mapping[str, Any], name: str, limit: str) -> str:
    value, needed = final.get(name), final.get(limit)
    if value is None:
        return MISSING
    return figure(value) + (f" of {figure(needed)}" if needed is not None else "")
