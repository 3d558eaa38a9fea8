"""Judges the recorded samples of a gate again, for the plots and as a check of the verdict.

Rules:
1. The judge is the one that judged live, with the settings that the ledger recorded at the gate's start.
2. A replay that ends otherwise than the ledger says is shown as such, never hidden.
3. Samples that cannot be read are shown as such; the recorded verdict stands alone then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from roundtrip.errors import RoundtripError
from roundtrip.gates.evidence import Counts, MetricEvidence
from roundtrip.gates.replay import Recording
from roundtrip.narrative.story import GateStory, titled


@dataclass(frozen=True)
class Point:
    """Where one metric stood at one sample."""

    seconds: float
    """since the gate's first sample"""
    evidence: MetricEvidence
    canary: Counts
    """since the gate's first sample, warm-up included"""
    stable: Counts


@dataclass(frozen=True)
class Replay:
    """A gate judged again."""

    curves: Mapping[str, tuple[Point, ...]]
    """by metric"""
    verdict: str | None
    """of the replay, with whoever overrode it; None when it did not come to one"""
    problem: str | None
    """why there is no replay; None when there is one"""


def replay(gate: GateStory) -> Replay:
    """The gate's samples, judged again from the first to the last."""
    if gate.started is None or not gate.samples:
        return Replay({}, None, "no samples are recorded")
    try:
        recording = Recording.of(
            gate.started.data, [event.data for event in gate.samples], where=f"gate {gate.id}"
        )
        return _judged(recording)
    except (RoundtripError, KeyError) as error:
        return Replay({}, None, f"the recorded samples cannot be judged again: {error}")


def _judged(recording: Recording) -> Replay:
    curves, verdict = {metric.name: list[Point]() for metric in recording.gate.metrics}, None
    for sample, decision in recording.judged():
        seconds = (sample.at - recording.samples[0].at).total_seconds()
        for name, evidence in decision.metrics.items():
            curves[name].append(Point(seconds, evidence, sample.canary[name], sample.stable[name]))
        by = decision.overridden.by if decision.overridden else None
        verdict = titled(decision.verdict.name, by) if decision.verdict else None
    return Replay({name: tuple(points) for name, points in curves.items()}, verdict, None)
