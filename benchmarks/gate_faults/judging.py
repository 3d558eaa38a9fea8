"""One gate of a world, judged by the real gate with a real ledger in a temporary file."""

from __future__ import annotations

import asyncio
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gate_faults.world import GATE, World
from roundtrip.gates.evidence import Verdict
from roundtrip.gates.gate import GateSetup, run_gate
from roundtrip.ledger.ledger import Ledger


@dataclass(frozen=True)
class Ending:
    """How it ended."""

    name: str
    """PASS, FAIL, the cause of an INCONCLUSIVE, or CRASH"""
    reason: str
    samples: int

    @property
    def is_wrong(self) -> bool:
        """Every canary here is bad, so a PASS is a false one."""
        return self.name in ("PASS", "CRASH")


async def _no_pull(_reason: str) -> None:
    """Nothing is deployed here."""


def judged(world: World) -> Ending:
    """Runs the gate to its end. A crash is an ending, so that the others are still judged."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        setup = GateSetup("faults", "gate", "nowhere", canary="1.1.0", stable="1.0.0", gate=GATE)
        try:
            decision = asyncio.run(
                run_gate(setup, ledger, [world], pull=_no_pull, clock=world.clock, sleep=world.sleep)
            )
        except Exception:  # noqa: BLE001 - a crash of whatever kind is what is looked for
            return Ending("CRASH", traceback.format_exc(), world.taken)
    name = decision.cause.value if decision.cause else (decision.verdict or Verdict.INCONCLUSIVE).name
    return Ending(name, decision.reason, world.taken)
