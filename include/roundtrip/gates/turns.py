"""Turns: how many gates of one process do the same thing at once.

A thousand gates wait in one event loop. Would all of them read at the same moment, each of their requests would wait for
the others of our own, and end as if the other side were slow. In turns, a limit measures the other side; where the machine
is too small, samples are further apart than the interval, and none is lost.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

SAMPLES_AT_ONCE = 16
"""One that waits for a source that does not answer holds its turn for `Limits.seconds`; the others have the rest."""

OPENINGS_AT_ONCE = 2
"""Opening a release computes in a thread; with more at once, samples of gates that have begun would wait behind them."""


class _Turns:
    """Of one event loop."""

    def __init__(self) -> None:
        self.sampling = asyncio.Semaphore(SAMPLES_AT_ONCE)
        self.opening = asyncio.Semaphore(OPENINGS_AT_ONCE)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()


def sampling() -> asyncio.Semaphore:
    """Held, by `async with`, while one sample is taken."""
    return _here().sampling


def opening() -> asyncio.Semaphore:
    """Held while what a gate needs is read from plan, ledger and target."""
    return _here().opening


def _here() -> _Turns:
    return _by_loop.setdefault(asyncio.get_running_loop(), _Turns())
