"""Collections that are copied in parts: whether what Redis has is a part of a copy, and how it is completed.

`has_only`: everything that is there is in the copy, in the same place and with the same value. So what a killed run has
left of it can be told from what somebody else wrote.
`complete`: afterwards all of the copy is there, with the moment of its end. Repeated it changes nothing, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import redis

from roundtrip.rollout.aside import NO_EXPIRY, Record


class Collection(Protocol):
    """One type of Redis."""

    def has_only(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        """Whether the key is of this type and holds nothing but what is in `parts`."""

    def complete(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        """Add what is missing of `parts`; whether anything was."""


class _Hash:
    def has_only(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        if not _is(client, parts, b"hash"):
            return False
        found: dict[bytes, Any] = {}
        for part in parts:
            fields, values = _pairs(part)
            now: Any = client.hmget(part.name, fields)
            if any(a is not None and a != b for a, b in zip(now, values, strict=True)):
                return False
            found.update((field, None) for field, a in zip(fields, now, strict=True) if a is not None)
        return len(found) == client.hlen(parts[0].name)

    def complete(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        added = sum(int(client.hset(part.name, items=part.items())) for part in parts)
        _end(client, parts)
        return added > 0


class _Set:
    def has_only(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        if not _is(client, parts, b"set"):
            return False
        found: set[bytes] = set()
        for part in parts:
            asking: Any = client.pipeline(transaction=False)
            for member in (members := part.items()):
                asking.execute_command("SISMEMBER", part.name, member)
            found.update(m for m, is_there in zip(members, asking.execute(), strict=True) if is_there)
        return len(found) == client.scard(parts[0].name)

    def complete(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        added = sum(int(client.sadd(part.name, *part.items())) for part in parts)
        _end(client, parts)
        return added > 0


class _SortedSet:
    def has_only(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        if not _is(client, parts, b"zset"):
            return False
        found: set[bytes] = set()
        for part in parts:
            members, scores = _pairs(part)
            asking = client.pipeline(transaction=False)
            for member in members:
                asking.zscore(part.name, member)
            now = asking.execute()
            if any(a is not None and a != float(b) for a, b in zip(now, scores, strict=True)):
                return False
            found.update(member for member, a in zip(members, now, strict=True) if a is not None)
        return len(found) == client.zcard(parts[0].name)

    def complete(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        talk: Any = client
        added = 0
        for part in parts:
            # As Redis wrote them: a score that goes through a float of ours might be another.
            scores_first = [item for pair in zip(*reversed(_pairs(part)), strict=True) for item in pair]
            added += int(talk.execute_command("ZADD", part.name, *scores_first))
        _end(client, parts)
        return added > 0


class _List:
    def has_only(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        """Here: what is there is how the copy begins."""
        if not _is(client, parts, b"list"):
            return False
        start, length = 0, int(client.llen(parts[0].name))
        for part in parts:
            items = part.items()
            now: Any = client.lrange(part.name, start, start + len(items) - 1)
            if now != items[: len(now)]:
                return False
            start += len(items)
        return length <= start

    def complete(self, client: redis.Redis, parts: Sequence[Record]) -> bool:
        there = before = int(client.llen(parts[0].name))
        for part in parts:
            items = part.items()
            if items[there:]:
                client.rpush(part.name, *items[there:])
            there = max(0, there - len(items))
        _end(client, parts)
        return int(client.llen(parts[0].name)) > before


COLLECTIONS: Mapping[bytes, Collection] = {b"h": _Hash(), b"s": _Set(), b"z": _SortedSet(), b"l": _List()}
"""By the kind of their records."""


def _is(client: redis.Redis, parts: Sequence[Record], kind: bytes) -> bool:
    return bool(client.type(parts[0].name) == kind)


def _pairs(part: Record) -> tuple[list[bytes], list[bytes]]:
    items = part.items()
    return items[::2], items[1::2]


def _end(client: redis.Redis, parts: Sequence[Record]) -> None:
    if parts[0].expires_ms != NO_EXPIRY:
        client.pexpireat(parts[0].name, parts[0].expires_ms)
