"""Where the time of a command went: a phase has a name and seconds; the newest command prints them as a table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.table import Table


@dataclass
class Phases:
    """The phases of one command, in the order in which they began."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count what is done inside as `name`, also when it ends with an error."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def table(self, sections: Sequence[tuple[str, float]]) -> Table:
        """What was prepared, then the sections of the run."""
        table = Table(title="Where the time went", title_justify="left")
        table.add_column("phase")
        table.add_column("seconds", justify="right")
        for name, seconds in [*self.seconds.items(), *sections]:
            table.add_row(name, f"{seconds:.1f}")
        return table
