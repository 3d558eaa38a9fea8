"""The fence: a target acts for the newest token that it has seen, and for no other.

Rules:
1. The newest token is on disk, synced, before anybody acts for it.
2. Each act happens while the lock is held, after the token was compared; so an older converge stops at its next act.
3. Acts are short. Who waits does not hold the lock, and asks between two looks whether it was overtaken.
4. The lock ends with the process that held it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from roundtrip import durable
from roundtrip.errors import StaleTokenError, TargetError

LOCK_LIMIT_SECONDS = 60


class Fence:
    """The fence of one environment's folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "token"
        self._lock_file = folder / "token.lock"

    def newest(self) -> int:
        """The newest token seen; 0 when none. Raises TargetError when the file holds none."""
        try:
            text = self._file.read_text(encoding="ascii")
        except FileNotFoundError:
            return 0
        if not text.isdigit():
            raise TargetError(
                f"expected a token, got {text[:40]!r}",
                where=str(self._file),
                remedy="write the newest token of this environment in the ledger into it",
            )
        return int(text)

    def obey(self, token: int) -> None:
        """For who waits. Raises StaleTokenError when a newer token was seen."""
        newest = self.newest()
        if token < newest:
            raise StaleTokenError(
                f"token {token} is older than {newest}",
                where=str(self._file.parent),
                remedy="somebody newer holds this environment; this converge has stopped",
            )

    @contextmanager
    def hold(self, token: int) -> Iterator[None]:
        """Act for `token` within. Raises StaleTokenError when a newer one was seen, TargetError when the lock is held."""
        lock = FileLock(self._lock_file, timeout=LOCK_LIMIT_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise TargetError(
                f"its lock was not free within {LOCK_LIMIT_SECONDS} s",
                where=str(self._lock_file),
                remedy="another converge acts; try again",
            ) from error
        try:
            self.obey(token)
            if token > self.newest():
                durable.write(self._file, str(token))
            yield
        finally:
            lock.release()
