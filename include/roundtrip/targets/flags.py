"""The feature flags of an environment: one file that all its services read.

A flag is switched off before anything else of a converge and on after everything else, so that none is ever on beside
a version that does not know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from roundtrip import durable
from roundtrip.errors import TargetError
from roundtrip.targets import records


class Flags:
    """The flags kept in `file`, as the platform's services read it; `mode` lets other users read it."""

    def __init__(self, file: Path, *, mode: int = durable.PRIVATE) -> None:
        self._file = file
        self._mode = mode

    def read(self) -> dict[str, bool]:
        """What the services read now; none when there is no file. Raises TargetError when it cannot be read."""
        data = records.read(self._file)
        if data is None:
            return {}
        flags = data.get("flags")
        if not isinstance(flags, dict) or not all(isinstance(on, bool) for on in flags.values()):
            raise TargetError(
                "expected {'flags': {name: true or false}}",
                where=str(self._file),
                remedy="remove the file and converge again",
            )
        return {str(name): on for name, on in flags.items()}

    def without_new(self, desired: Mapping[str, bool]) -> dict[str, bool]:
        """`desired`, with every flag off that is not on already."""
        now = self.read() if self._file.exists() else {}
        return {name: on and now.get(name, False) for name, on in desired.items()}

    def write(self, flags: Mapping[str, bool]) -> None:
        """Have the services read `flags`."""
        if not self._file.exists() or self.read() != dict(flags):
            durable.write_json(self._file, {"flags": dict(flags)}, mode=self._mode)
