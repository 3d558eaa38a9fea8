"""A file that is not as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

Undo = Callable[[], None]


def with_another_byte(file: Path, dice: random.Random) -> Undo:
    """From now on; what puts it back."""
    if not file.exists():
        raise RuntimeError(f"nothing to damage: {file}")
    before = file.read_bytes()
    at = dice.randrange(len(before))
    mode = file.stat().st_mode
    file.chmod(0o600)
    file.write_bytes(before[:at] + bytes([before[at] ^ 0xFF]) + before[at + 1 :])
    file.chmod(mode)

    def restore() -> None:
        file.chmod(0o600)
        file.write_bytes(before)
        file.chmod(mode)

    return restore
