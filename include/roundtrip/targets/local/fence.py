"""The fence: a target acts for the newest token that it has seen, and for no other.

Rules:
1. The newest token is on disk, synced, before anybody acts for it.
2. Each act happens while the lock is held, after the token was compared; so an older converge stops at its next act.
3. The lock ends with the process that held it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from roundtrip.errors import StaleTokenError, TargetError

LOCK_LIMIT_SECONDS = 60


class Fence:
    """The fence of one environment's folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "token"
        self._lock_file = folder / "token.lock"

    def newest(self) -> int:
        """The newest token seen; 0 when none."""
        try:
            return int(self._file.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    @contextmanager
    def hold(self, token: int) -> Iterator[None]:
        """Act for `token` within. Raises StaleTokenError when a newer one was seen, TargetError when the lock is held."""
        try:
            with FileLock(self._lock_file, timeout=LOCK_LIMIT_SECONDS):
                self._obey(token)
                yield
        except Timeout as error:
            raise TargetError(
                f"its lock was not free within {LOCK_LIMIT_SECONDS} s",
                where=str(self._lock_file),
                remedy="another converge acts; try again",
            ) from error

    def _obey(self, token: int) -> None:
        newest = self.newest()
        if token < newest:
            raise StaleTokenError(
                f"token {token} is older than {newest}",
                where=str(self._file.parent),
                remedy="somebody newer holds this environment; this converge has stopped",
            )
        if token > newest:
            beside = self._file.with_name("token.new")
            with beside.open("w", encoding="ascii") as file:
                file.write(str(token))
                file.flush()
                os.fsync(file.fileno())
            beside.rename(self._file)
