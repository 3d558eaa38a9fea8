"""What a plan says of noise fits together, or is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from roundtrip.plan.model import Gate

METRIC = {"name": "errors", "kind": "errors", "source": "front-door", "service": "api"}


def gate(**changes: object) -> Gate:
    return Gate.model_validate({"metrics": [METRIC], "deadline_seconds": 600, **changes})


def test_requests_are_independent_where_nothing_else_is_said() -> None:
    assert gate().noise == "independent-requests"


def test_bursts_have_a_length_and_may_be_of_any_size() -> None:
    assert gate(noise="bursts", burst_seconds=10).burst_ratio is None
    assert gate(noise="bursts", burst_seconds=10, burst_ratio=5).burst_ratio == 5


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"noise": "bursts"}, "burst_seconds belongs to noise bursts"),
        ({"burst_seconds": 10}, "burst_seconds belongs to noise bursts"),
        ({"burst_ratio": 5}, "burst_ratio belongs to noise bursts"),
        ({"noise": "bursts", "burst_seconds": 0}, "greater than 0"),
        ({"noise": "bursts", "burst_seconds": 10, "burst_ratio": 1}, "greater than 1"),
        ({"noise": "clumps"}, "independent-requests"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        gate(**changes)
