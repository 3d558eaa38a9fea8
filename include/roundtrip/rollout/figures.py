"""Figures: what a calibration found of one gate, and the words that tables and the dossier have for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from roundtrip.plan.model import Part

Share = Annotated[float, Field(ge=0, le=1)]

LEAST_SHOWN = 0.005
"""shares below it would be shown as 0 %"""


class Simulation(Part):
    """What is drawn."""

    runs: Annotated[int, Field(ge=1, description="healthy gates, and as many for each harm of each metric")]
    error_rate: Annotated[
        float, Field(ge=0, lt=1, description="share of requests that is bad where nothing is wrong")
    ]
    seed: Annotated[int, Field(ge=0)]


class Ends(Part):
    """Seconds from the start of a gate to one verdict."""

    median_seconds: Annotated[float | None, Field(description="None: half of the gates never came to it")]
    late_seconds: Annotated[float | None, Field(description="95th percentile; None: more never came to it")]
    share: Annotated[Share, Field(description="of the gates that came to it")]

    def __str__(self) -> str:
        if self.median_seconds is None:
            return "never"
        return f"{self.median_seconds:.0f} s" + (
            f" ({self.late_seconds:.0f} s)" if self.late_seconds is not None else ""
        )


class Detection(Part):
    """What became of gates whose canary had one harm in one metric."""

    metric: str
    bad_share: Share
    fails: Ends
    passed_share: Annotated[
        Share, Field(description="that ended with PASS: harm below what the plan tolerates is meant to")
    ]

    def __str__(self) -> str:
        """Times to FAIL where nearly all gates came to it, and the shares of the other ends."""
        parts = [str(self.fails)] if self.fails.median_seconds is not None else []
        if self.fails.late_seconds is None:
            undecided = 1 - self.fails.share - self.passed_share
            shares = {"FAIL": self.fails.share, "PASS": self.passed_share, "undecided": undecided}
            parts += [f"{name} {share:.0%}" for name, share in shares.items() if share >= LEAST_SHOWN]
        return ", ".join(parts)


class Calibration(Part):
    """One gate at one step of a plan."""

    stage: str
    step: str
    gate: str
    valid_for: Annotated[str, Field(description="digest of the settings and the traffic that it is of")]
    alone: Annotated[
        tuple[str, ...], Field(description="metrics that are compared with what is recorded of stable")
    ]
    runs: int
    stated_false_alarm: float
    false_alarms: int
    false_alarm_interval: Annotated[tuple[float, float], Field(description="Wilson's, of 95 %")]
    passes: Ends
    detections: Annotated[tuple[Detection, ...], Field(description="each metric with each harm")]

    @property
    def false_alarm_rate(self) -> str:
        """The simulated rate with its interval."""
        low, high = self.false_alarm_interval
        return f"{self.false_alarms / self.runs:.2%} ({low:.2%} to {high:.2%}) of {self.runs}"

    @property
    def harms(self) -> tuple[float, ...]:
        """The sizes of harm, as shares of bad requests."""
        return tuple(dict.fromkeys(one.bad_share for one in self.detections))

    def by_metric(self) -> dict[str, tuple[Detection, ...]]:
        """The detections of each metric."""
        names = dict.fromkeys(one.metric for one in self.detections)
        return {name: tuple(one for one in self.detections if one.metric == name) for name in names}


class NotSimulated(Part):
    """A gate that has no figures, and why."""

    stage: str
    step: str
    why: str
