"""The kinds of environments that the campaign runs against."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from roundtrip.commands.prepare import ROOT
from tests.chaos.container_faults import CONTAINER_FAULTS
from tests.chaos.containers import containers
from tests.chaos.faults import FAULTS, Fault
from tests.chaos.ground import Ground
from tests.chaos.processes import processes
from tests.containers import host

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Kind:
    """One of them."""

    faults: tuple[Fault, ...]
    """a seed draws one of these"""
    ground: Callable[[Path], AbstractContextManager[Ground]]
    """what is there for as long, below that folder"""
    why_none: Callable[[], str | None]
    """why it cannot be had here; None if it can"""
    home: Path
    """where its stage is kept"""
    regressions: Path
    """every draw in which an invariant was broken once; a comment says what it was"""


KINDS = {
    "local": Kind(FAULTS, processes, lambda: None, ROOT / ".roundtrip" / "chaos", HERE / "regressions.txt"),
    "compose": Kind(
        CONTAINER_FAULTS,
        containers,
        host.why_none,
        ROOT / ".roundtrip" / "chaos-compose",
        HERE / "regressions-compose.txt",
    ),
}
