"""Many gates at once: what was counted in each, and the bets of `eprocess` on arrays instead of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundtrip.gates.blocks import BLOCK_BURSTS, GUARD_BURSTS
from roundtrip.plan.model import Gate

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


class BlockBets:
    """The bets on blocks of many gates: `blocks.Block` and the bets that grow when one is full, and begin anew between two."""

    def __init__(self, numbers: int, gates: int, gate: Gate, ratios: Sequence[float], restarts: int) -> None:
        self._counted = np.zeros((numbers, gates), dtype=np.int64)
        """total and bad of each arm"""
        self._opens, self._closes = np.full(gates, math.nan), np.full(gates, math.nan)
        self._length = gate.burst_seconds or math.nan
        self._bets = Bets(gates, ratios, restarts)

    def count(
        self,
        counted: Ints,
        begins: float,
        ends: float,
        due: Callable[[float], int],
        settled: Callable[[Ints, Ints], Floats],
    ) -> None:
        """Count an interval. Of the blocks that are full with it, `settled` has the factors: counts and rows of gates."""
        first = np.isnan(self._opens)
        self._opens[first], self._closes[first] = begins, begins + BLOCK_BURSTS * self._length
        self._bets.begin_anew(due(begins), first)
        self._counted += np.where(begins >= self._opens, counted, 0)
        full = (self._counted[::2] > 0).all(axis=0) & (ends >= self._closes)
        if not full.any():
            return
        rows = np.nonzero(full)[0]
        self._bets.grow(settled(self._counted[:, rows], rows), rows)
        self._bets.begin_anew(due(ends), full)
        self._counted[:, full] = 0
        self._opens[full] = ends + GUARD_BURSTS * self._length
        self._closes[full] = ends + BLOCK_BURSTS * self._length

    def log_against(self, beyond: Floats | None) -> Floats:
        """The evidence of the blocks, half of it on what is `beyond` bursts where a plan bounds them."""
        in_blocks = self._bets.log_value_with_restarts()
        return in_blocks if beyond is None else log_mean(np.stack([beyond, in_blocks], axis=1))

    def keep(self, alive: Flags) -> None:
        self._counted = self._counted[:, alive]
        self._opens, self._closes = self._opens[alive], self._closes[alive]
        self._bets.keep(alive)


def absolute(ratios: Sequence[float], bound: float | Floats, counted: Ints) -> Floats:
    """`eprocess.absolute`; a bound for all gates, or one for each."""
    r, (n, x) = np.array(ratios), counted[:, :, None]
    factors: Floats = x * np.log(r) - n * (np.asarray(bound)[..., None] * (r - 1))
    return factors


def bounded(ratios: Sequence[float], bound: float | Floats, burst_ratio: float, counted: Ints) -> Floats:
    """`blocks.bounded`, ratios below 1: no chord is beyond a float. A bound for all gates, or one for each."""
    r, (n, x) = np.array(ratios), counted[:, :, None]
    limit = np.asarray(bound, dtype=np.float64)
    inner = np.where((limit > 0) & (limit < 1), limit, 1.0)
    most = np.maximum(1.0, np.minimum(burst_ratio, 1 / inner))[..., None]
    chord = np.log1p(np.expm1(n * most * limit[..., None] * (r - 1)) / most)
    factors: Floats = x * np.log(r) - chord
    return factors
