"""Streams of evidence that once led a gate to a false PASS; `python -m benchmarks.gate_faults` runs all of them."""

from __future__ import annotations

import pytest

from benchmarks.gate_faults.faults import FAULTS
from benchmarks.gate_faults.judging import judged
from benchmarks.gate_faults.streams import stream


@pytest.mark.parametrize("seed", [0, 20, 49, 112, 142, 145])
def test_a_stream_that_once_passed_does_not(seed):
    ending = judged(stream(seed))
    assert not ending.is_wrong, ending.reason


@pytest.mark.parametrize(
    "name", ["source down", "error series lost", "label renamed", "counters reset at every second sample"]
)
def test_a_fault_ends_the_gate_by_its_name(name):
    [fault] = [one for one in FAULTS if one.name == name]
    assert judged(fault.world()).name in fault.expected
