"""Many gates at once: what was counted in each, and the bets of `eprocess` on arrays instead of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundtrip.gates.blocks import BLOCK_BURSTS, GUARD_BURSTS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Arms:
    """One metric of many gates: what was counted in each interval, all of shape (gates, samples)."""

    canary: Ints
    canary_bad: Ints
    stable: Ints
    stable_bad: Ints


@dataclass(frozen=True)
class Recorded:
    """What earlier gates counted of stable, for one metric whose canary runs alone; both of shape (gates,)."""

    total: Ints
    bad: Ints


class Bets:
    """`eprocess.Bets` of many gates: arrays of shape (gates, ratios)."""

    def __init__(self, gates: int, ratios: Sequence[float], planned: int) -> None:
        self.logs = np.zeros((gates, len(ratios)))
        self._begun = np.full((gates, len(ratios)), -math.inf)
        self._restarted = np.zeros(gates, dtype=np.int64)
        self._planned = planned
        self._value: Floats | None = None
        """without restarts; None when a bet has grown since"""
        self._whole: Floats | None = None
        """with restarts; None when a bet has grown or begun since"""

    def grow(self, factors: Floats, where: Ints | None = None) -> None:
        if where is None:
            self.logs += factors
        else:
            self.logs[where] += factors
        self._value = self._whole = None

    def begin_anew(self, due: int, where: Flags) -> None:
        new = np.where(where, np.maximum(due - self._restarted, 0), 0)
        if not new.any():
            return
        with np.errstate(divide="ignore"):
            self._begun = np.logaddexp(self._begun, np.log(new)[:, None] - self.logs)
        self._restarted += new
        self._whole = None

    def log_value(self) -> Floats:
        if self._value is None:
            self._value = log_mean(self.logs)
        return self._value

    def log_value_with_restarts(self) -> Floats:
        if self._whole is None:
            self._whole = self._with_restarts() if self._planned else self.log_value()
        return self._whole

    def _with_restarts(self) -> Floats:
        waiting = (self._planned - self._restarted) / self._planned
        begun = log_mean(self.logs + self._begun) - math.log(self._planned)
        with np.errstate(divide="ignore"):
            parts = np.stack([self.log_value(), begun, np.log(waiting)], axis=1)
        return log_mean(parts) + math.log(3 / 2)

    def keep(self, alive: Flags) -> None:
        self.logs, self._begun = self.logs[alive], self._begun[alive]
        self._restarted = self._restarted[alive]
        self._value = self._whole = None


def log_mean(logs: Floats) -> Floats:
    """`eprocess.log_mean` over the last axis."""
    most = logs.max(axis=-1, keepdims=True)
    safe = np.where(np.isinf(most), 0.0, most)
    with np.errstate(divide="ignore"):
        mean: Floats = np.log(np.exp(logs - safe).mean(axis=-1)) + safe[..., 0]
    return mean


class Blocks:
    """`blocks.Block` of many gates: total and bad of each arm, of shape (numbers, gates)."""

    def __init__(self, numbers: int, gates: int, burst_seconds: float) -> None:
        self.counted = np.zeros((numbers, gates), dtype=np.int64)
        self._opens, self._closes = np.full(gates, math.nan), np.full(gates, math.nan)
        self._length = burst_seconds

    def open_first(self, begins: float) -> Flags:
        """Which gates have their first block from now on."""
        first: Flags = np.isnan(self._opens)
        self._opens[first], self._closes[first] = begins, begins + BLOCK_BURSTS * self._length
        return first

    def fill(self, counted: Ints, begins: float, ends: float) -> Flags:
        """Which blocks are full with what was counted in an interval."""
        self.counted += np.where(begins >= self._opens, counted, 0)
        full: Flags = (self.counted[::2] > 0).all(axis=0) & (ends >= self._closes)
        return full

    def open_next(self, full: Flags, ends: float) -> None:
        self.counted[:, full] = 0
        self._opens[full] = ends + GUARD_BURSTS * self._length
        self._closes[full] = ends + BLOCK_BURSTS * self._length

    def keep(self, alive: Flags) -> None:
        self.counted = self.counted[:, alive]
        self._opens, self._closes = self._opens[alive], self._closes[alive]
