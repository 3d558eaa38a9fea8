"""The watch over one environment's lease: looks, and when it has lapsed does the one safe thing until it is done.

Rules:
1. What was done is in a file before the lease ends, and stays there until the ledger has it.
2. What fails is tried again for as long as the lease has lapsed, RETRY_SECONDS apart, and said in the ledger once.
3. A newer token means that somebody else acts, so the release is looked after: it gets a full term.
4. An idle watch imports nothing that is heavy; one stands beside every environment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from roundtrip import lease
from roundtrip.errors import RoundtripError, StaleTokenError
from roundtrip.lease import Lease
from roundtrip.watchdog.lapsing import Seen, seen

if TYPE_CHECKING:
    from roundtrip.watchdog.taking_back import TakingBack

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0

Open = Callable[[Path, Lease, str], "TakingBack"]


class Watch:
    """Looks after the lease in the folder of one environment."""

    def __init__(self, folder: Path, open_: Open | None = None) -> None:
        self._folder = folder
        self._open = open_ or _taking_back
        self._lease: Lease | None = None
        self._seen: Seen | None = None
        self._not_before = float("-inf")
        self._problem = ""
        """what could not be read at the last look; said once"""

    def look(self, now: float) -> None:
        """Look once, and act where it is time; `now` by a clock that only goes forward, seconds."""
        is_time = now >= self._not_before
        try:
            self._lease = lease.read(self._folder)
            if is_time and lease.taken_back(self._folder) is not None:
                self._not_before = now + RETRY_SECONDS
                self._tell()
            self._problem = ""
        except (RoundtripError, OSError) as error:
            # What was held before is still held, and not renewed.
            if str(error) != self._problem:
                self._problem = str(error)
                log.error("%s", error)
        if self._lease is None:
            self._seen = None
            return
        renewal = lease.last_renewal(self._folder, self._lease.release)
        self._seen = seen(self._seen, self._lease.release, renewal.mark if renewal else None, now)
        if is_time and self._seen.has_lapsed(self._lease.seconds):
            self._not_before = now + RETRY_SECONDS
            self._take_back(self._lease, renewal.holder if renewal else "nobody")

    def _take_back(self, held: Lease, last_holder: str) -> None:
        taking: TakingBack | None = None
        try:
            taking = self._open(self._folder, held, last_holder)
            self._carry_out(taking, held)
        except StaleTokenError as error:
            log.info("somebody else acts: %s", error)
            if self._seen is not None:
                self._seen = replace(self._seen, same_for=0.0)
        except (RoundtripError, OSError) as error:
            log.error("not taken back yet: %s", error)
            if taking is not None:
                taking.record_failure(str(error))

    def _carry_out(self, taking: TakingBack, held: Lease) -> None:
        done = taking.pull()
        if done is None:
            lease.end(self._folder, held.release)
            return
        lease.note_taken_back(self._folder, held, done)
        log.warning("%s: its traffic is back", held.release)
        self._tell()

    def _tell(self) -> None:
        """Have the ledger know what was done."""
        told = lease.taken_back(self._folder)
        if told is None:
            return
        held, done = Lease(**told["lease"]), told["done"]
        if self._open(self._folder, held, str(done["holder"])).record(done):
            lease.forget_taken_back(self._folder)


def _taking_back(folder: Path, held: Lease, last_holder: str) -> TakingBack:
    from roundtrip.watchdog.taking_back import TakingBack

    return TakingBack(folder, held, last_holder)
