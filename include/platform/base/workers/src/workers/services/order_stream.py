"""The stream `orders`, as one consumer of the group `workers`.

Rules:
1. The consumer's name is that of this process alone; the group is made when it is missing, and read from its
   beginning.
2. What another consumer left unfinished for CLAIM_IDLE_MS is claimed. A batch in hand for longer than half of
   that is not worked on: by then it may be somebody else's.
3. After a failure nobody knows what was done, so what is pending for this consumer is read again first.
4. What is handed back stays pending, aged so that the others may claim it at once.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Any, cast

import redis

from workers.orders import Event

STREAM = "orders"
GROUP = "workers"
CLAIM_IDLE_MS = 5000
_BATCH = 10
_BLOCK_MS = 500
_CLAIM_EVERY_SECONDS = 0.5
_HANDED_BACK_IDLE_MS = 3_600_000
_LAG_PAGE = 1000
_MOST_LAG_PAGES = 10


def new_consumer_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


class OrderStream:
    def __init__(self, client: redis.Redis, consumer: str) -> None:
        self._redis = client
        self._consumer = consumer
        self._is_joined = False
        self._own_after: str | None = None
        self._claim_from = "0-0"
        self._claim_at = 0.0
        self._taken_at = 0.0

    def doubt(self) -> None:
        """Something failed: look at the group and at what is pending for this consumer again."""
        self._is_joined = False
        self._own_after = "0"

    def take(self) -> list[Event]:
        """The next events, own unfinished ones first; empty when none came for a moment."""
        if not self._is_joined:
            self._join()
        self._taken_at = time.monotonic()
        return self._own_pending() or self._claimed() or self._new()

    def is_in_hand(self) -> bool:
        """Whether the events taken last are still surely this consumer's."""
        return time.monotonic() - self._taken_at < CLAIM_IDLE_MS / 1000 / 2

    def hand_back(self, events: Sequence[Event]) -> None:
        if events:
            self._redis.xclaim(
                STREAM,
                GROUP,
                self._consumer,
                min_idle_time=0,
                message_ids=[event.entry_id for event in events],
                idle=_HANDED_BACK_IDLE_MS,
                justid=True,
            )

    def leave(self) -> None:
        """Forget this consumer, unless something is pending for it."""
        if not self._redis.xpending_range(STREAM, GROUP, "-", "+", 1, consumername=self._consumer):
            self._redis.xgroup_delconsumer(STREAM, GROUP, self._consumer)

    def lag(self) -> int:
        """Entries not delivered to any worker yet. Redis 6 does not say: they are counted, up to a limit."""
        groups = cast(list[dict[str, Any]], self._redis.xinfo_groups(STREAM))
        group = next(group for group in groups if group["name"] == GROUP)
        known = group.get("lag")
        return int(known) if known is not None else self._count_after(str(group["last-delivered-id"]))

    def _count_after(self, entry_id: str) -> int:
        counted = 0
        for _ in range(_MOST_LAG_PAGES):
            page = cast(list[Any], self._redis.xrange(STREAM, min=f"({entry_id}", count=_LAG_PAGE))
            counted += len(page)
            if len(page) < _LAG_PAGE:
                break
            entry_id = page[-1][0]
        return counted

    def _join(self) -> None:
        try:
            self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        self._is_joined = True

    def _own_pending(self) -> list[Event]:
        if self._own_after is None:
            return []
        events = self._read(self._own_after, block_ms=None)
        self._own_after = events[-1].entry_id if events else None
        return events

    def _claimed(self) -> list[Event]:
        if time.monotonic() < self._claim_at:
            return []
        reply = cast(
            list[Any],
            self._redis.xautoclaim(
                STREAM, GROUP, self._consumer, CLAIM_IDLE_MS, start_id=self._claim_from, count=_BATCH
            ),
        )
        self._claim_from = reply[0]
        if self._claim_from == "0-0":
            self._claim_at = time.monotonic() + _CLAIM_EVERY_SECONDS
        return _events(reply[1])

    def _new(self) -> list[Event]:
        return self._read(">", block_ms=_BLOCK_MS)

    def _read(self, after: str, block_ms: int | None) -> list[Event]:
        reply = cast(
            list[Any], self._redis.xreadgroup(GROUP, self._consumer, {STREAM: after}, _BATCH, block_ms)
        )
        return _events(reply[0][1]) if reply else []


def _events(entries: list[tuple[str | None, dict[str, str] | None]]) -> list[Event]:
    """Entries deleted from the stream come without an id or without fields, and are nobody's work."""
    return [Event(entry_id, fields) for entry_id, fields in entries if entry_id is not None and fields]
