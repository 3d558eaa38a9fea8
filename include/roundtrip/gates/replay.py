"""Replay: a recorded gate judged again by the same code, for tests, for calibration and for an auditor.

Rules:
1. A recording holds what the ledger holds: what `gate.started` says, then what each `gate.sample` says, in order.
   As a file it is JSON lines.
2. It is judged with its own settings, baselines and times. Nothing is read from now, so the decision is the same,
   bit for bit.
3. A recording with a gap, in another order, or with a line that is no sample is refused: it is not what was judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundtrip import durable
from roundtrip.errors import EvidenceError, RoundtripError
from roundtrip.gates.evidence import Baseline, Decision, Sample
from roundtrip.gates.gate import samples
from roundtrip.gates.guard_rails import Guarded
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.model import Gate


@dataclass(frozen=True)
class Recording:
    """One gate as it was recorded."""

    gate: Gate
    baselines: Mapping[str, Baseline]
    samples: tuple[Sample, ...]

    @classmethod
    def of(cls, started: Mapping[str, Any], taken: list[Mapping[str, Any]], *, where: str) -> Recording:
        """From the data of `gate.started` and of the `gate.sample` events. Raises EvidenceError."""
        try:
            gate = Gate.model_validate(started["gate"])
            baselines = {name: Baseline.from_json(one) for name, one in started["baselines"].items()}
            found = tuple(Sample.from_json(one) for one in taken)
        except (RoundtripError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise EvidenceError(
                f"is no recording of a gate: {type(error).__name__}: {error}",
                where=where,
                remedy="record the gate again from the ledger",
            ) from error
        numbers = [sample.number for sample in found]
        if not found or numbers != list(range(len(numbers))):
            raise EvidenceError(
                f"expected samples 0 to {len(numbers) - 1} in order, got {numbers[:10]}",
                where=where,
                remedy="record the gate again from the ledger",
            )
        return cls(gate, baselines, found)

    def judged(self, gate: Gate | None = None) -> Iterator[tuple[Sample, Decision]]:
        """Each sample with the decision after it, up to the first verdict; `gate`: with other settings."""
        judge = Guarded(gate or self.gate, self.baselines)
        state = judge.start()
        for sample in self.samples:
            state, decision = judge.fold(state, sample, sample.at)
            yield sample, decision
            if decision.verdict is not None:
                return

    def decision(self, gate: Gate | None = None) -> Decision:
        """The last decision: the first verdict, or where it stands when there is none."""
        *_, (_, decision) = self.judged(gate)
        return decision


def of_ledger(ledger: Ledger, release: str, gate_id: str) -> Recording:
    """What the ledger recorded of a gate. Raises EvidenceError, LedgerError."""
    started, taken = _events(ledger, release, gate_id)
    return Recording.of(started, taken, where=f"gate {gate_id} of {release}")


def write(ledger: Ledger, release: str, gate_id: str, file: Path) -> None:
    """Record a gate of the ledger in a file. Raises EvidenceError, LedgerError."""
    started, taken = _events(ledger, release, gate_id)
    durable.write(file, "".join(json.dumps(line, sort_keys=True) + "\n" for line in (started, *taken)))


def read(file: Path) -> Recording:
    """What a file recorded of a gate. Raises EvidenceError."""
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, RecursionError) as error:
        raise EvidenceError(
            f"is no recording: {type(error).__name__}: {error}",
            where=str(file),
            remedy="give a file of JSON lines",
        ) from error
    if not lines:
        raise EvidenceError("is empty", where=str(file), remedy="record the gate again from the ledger")
    return Recording.of(lines[0], lines[1:], where=str(file))


def _events(ledger: Ledger, release: str, gate_id: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    started = ledger.last(release, "gate.started", gate_id)
    if started is None:
        raise EvidenceError(
            "no such gate was started",
            where=f"gate {gate_id} of {release}",
            remedy="look at the names of its gate.started events",
        )
    return started.data, [event.data for event in samples(ledger, release, gate_id)]
