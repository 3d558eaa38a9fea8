"""What a metric needs depends on what it counts; what does not fit is refused when the plan is read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from roundtrip.plan.model import Gate, Metric

GAUGE = {
    "kind": "gauge",
    "gauge": "stream_lag",
    "higher_than": 500,
    "burst_seconds": 30,
    "absolute_tolerance": 0.5,
}
WORK = {"kind": "throughput", "absolute_tolerance": 0}


def metric(**changes: object) -> Metric:
    return Metric.model_validate({"name": "m", "source": "services", "service": "workers", **changes})


@pytest.mark.parametrize("fields", [GAUGE, WORK, {"kind": "rejected"}, {**GAUGE, "source": "prometheus"}])
def test_each_kind_with_what_it_needs_is_a_metric(fields: dict[str, object]) -> None:
    assert metric(**fields).kind == fields["kind"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({**GAUGE, "gauge": None}, "gauge and higher_than belong to kind gauge"),
        ({**GAUGE, "higher_than": None}, "gauge and higher_than belong to kind gauge"),
        ({**GAUGE, "higher_than": float("inf")}, "finite"),
        ({**GAUGE, "burst_seconds": None}, "kind gauge needs burst_seconds"),
        ({**GAUGE, "absolute_tolerance": 0}, "an absolute_tolerance above 0"),
        ({**GAUGE, "source": "front-door"}, "kind gauge is of processes"),
        ({"kind": "errors", "gauge": "stream_lag"}, "gauge and higher_than belong to kind gauge"),
        ({"kind": "throughput", "absolute_tolerance": 0.01}, "give absolute_tolerance 0"),
        ({**WORK, "source": "front-door"}, "kind throughput is of processes"),
        ({**WORK, "source": "prometheus", "series": {"of_proxy": True}}, "kind throughput is of processes"),
        ({"kind": "rejected", "source": "front-door"}, "read from services only"),
        ({"kind": "rejected", "source": "prometheus"}, "take kind errors, and give series.errors"),
        ({"kind": "saturation"}, "Input should be 'errors'"),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        metric(**fields)


def test_a_metric_with_bursts_of_its_own_is_judged_in_blocks_and_its_neighbours_are_not() -> None:
    fields = {"deadline_seconds": 600, "noise": "bursts", "burst_seconds": 10, "burst_ratio": 4}
    gate = Gate.model_validate(
        {
            "metrics": [one.model_dump() for one in (metric(**GAUGE), metric(**{**WORK, "name": "work"}))],
            **fields,
        }
    )
    gauge, work = gate.metrics
    assert (gate.of(gauge).burst_seconds, gate.of(gauge).burst_ratio) == (30, None)
    assert gate.of(work) is gate
