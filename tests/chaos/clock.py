"""The clock of Airflow and of the tasks that it runs, which can be stepped: libfaketime, where it is installed.

What they measure spans with, the steady clock, goes on as it does when a machine's time is set. The observer, the platform
and the watchdog keep the machine's own time: on one machine all would be stepped, on several just these may be.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roundtrip import durable

LIBRARY = Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH")) / "faketime" / "libfaketime.so.1"
"""as Debian's package libfaketime has it"""


@dataclass(frozen=True)
class Clock:
    """Read from `file`, by each process once a second."""

    file: Path

    def variables(self) -> Mapping[str, str]:
        """What a process whose clock it is to be is started with."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def step(self, seconds: int) -> None:
        """So far from the machine's time, from now on."""
        durable.write(self.file, f"{seconds:+d}\n")


def clock_in(folder: Path) -> Clock | None:
    """A clock that shows the machine's time; None where libfaketime is not installed."""
    if not LIBRARY.exists():
        return None
    made = Clock(folder / "clock")
    made.step(0)
    return made
