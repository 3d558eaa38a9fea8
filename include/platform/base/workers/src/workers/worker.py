"""The loop that takes events and has them handled, until it is told to stop.

Rules:
1. What others did is counted before events are taken, so that handling one takes as long as that one takes.
2. Nothing is taken after the stop; the event in hand is finished, the others are handed back.
3. A failure of Redis is waited out, each time longer up to a limit. What was in hand is looked up again.
4. An exception in the handling of one event leaves that event pending and never ends the loop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import redis

from workers.error_tracker import ErrorTracker
from workers.log import described, log
from workers.metrics import Metrics
from workers.orders import Event, Outcome
from workers.services.order_stream import OrderStream

_FIRST_PAUSE_SECONDS = 0.05
_MOST_PAUSE_SECONDS = 1.0
_LAG_EVERY_SECONDS = 1.0


class Worker:
    def __init__(
        self,
        stream: OrderStream,
        catch_up: Callable[[], None],
        handle: Callable[[Event], Outcome],
        metrics: Metrics,
        tracker: ErrorTracker,
    ) -> None:
        self._stream = stream
        self._catch_up = catch_up
        self._handle = handle
        self._metrics = metrics
        self._tracker = tracker
        self._lag_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Returns once `stop` is set and nothing is in hand any more."""
        pause = 0.0
        while not stop.is_set():
            try:
                self._turn(stop)
                pause = 0.0
            except redis.RedisError as error:
                self._stream.doubt()
                pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _MOST_PAUSE_SECONDS)
                log("warning", "redis", error=described(error), again_in_seconds=pause)
                stop.wait(pause)
        if not pause:  # else Redis is away, and waiting for it would outlast the time to drain
            self._leave()

    def _leave(self) -> None:
        try:
            self._stream.leave()
        except redis.RedisError as error:
            log("warning", "could not leave the group", error=described(error))

    def _turn(self, stop: threading.Event) -> None:
        self._catch_up()
        events = [] if stop.is_set() else self._stream.take()
        for place, event in enumerate(events):
            if stop.is_set():
                self._stream.hand_back(events[place:])
                return
            if not self._stream.is_in_hand():
                self._stream.doubt()
                return
            self._one(event)
        self._measure_lag()

    def _one(self, event: Event) -> None:
        self._metrics.received.inc()
        try:
            with self._metrics.seconds.time():
                outcome = self._handle(event)
        except redis.RedisError:
            self._metrics.errors.inc()
            raise
        except Exception as error:  # noqa: BLE001 - whatever one event brings up, the others are worked on
            self._metrics.errors.inc()
            self._tracker.report(error)
            log("error", "order not handled", entry=event.entry_id, error=described(error))
            return
        self._count(outcome)

    def _count(self, outcome: Outcome) -> None:
        if outcome.status == "filled":
            self._metrics.filled.inc()
        elif outcome.status == "duplicated":
            self._metrics.duplicated.inc()
        else:
            self._metrics.rejected.labels(reason=outcome.reason).inc()
        if outcome.reason == "malformed":
            self._metrics.errors.inc()
            log("warning", "malformed order", order_id=outcome.order_id)

    def _measure_lag(self) -> None:
        if time.monotonic() >= self._lag_at:
            self._metrics.lag.set(self._stream.lag())
            self._lag_at = time.monotonic() + _LAG_EVERY_SECONDS
