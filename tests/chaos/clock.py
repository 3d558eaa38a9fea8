"""The clock of Airflow, of the tasks that it runs, and of its database, which can be stepped: `clock.c`, loaded before the C library.

libfaketime, which is made for this, lets a sleep of Python fail (0.9.10: a sleep until a time of the steady clock). What
measures spans goes by the steady clock, which is not touched. The observer, the platform and the watchdog keep the
machine's own time: on one machine all would be stepped, on several just these may be.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


@dataclass(frozen=True)
class Clock:
    """Off by what `file` holds."""

    library: Path
    file: Path

    def variables(self) -> Mapping[str, str]:
        """What a process whose clock it is to be is started with."""
        return {"LD_PRELOAD": str(self.library), "CHAOS_CLOCK": str(self.file)}

    def step(self, seconds: int) -> None:
        """So far from the machine's time, from now on and in every process at once."""
        self.file.touch()
        with self.file.open("r+b") as file:
            file.write(struct.pack("=q", seconds))


def clock_in(folder: Path) -> Clock | None:
    """A clock that shows the machine's time; None where there is no C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    made = Clock(folder / "clock.so", folder / "clock")
    command = [compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(made.library), str(SOURCE)]
    subprocess.run(command, check=True)
    made.step(0)
    return made
