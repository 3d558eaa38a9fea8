"""Reads what a platform keeps in Redis: what is there now, and what differs from what was there before.

Rules:
1. Every key is read without blocking Redis: SCAN and ranges of a bounded size.
2. A stream is remembered by its last id and a digest of everything up to it, so growth is told from change.
3. A key that no rule names has to stay as it was; a key that the stable version knows may change only by growing
   (streams) or by the stable version itself (other types: its type has to stay).
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from roundtrip.plan.model import StateRule

SCAN_COUNT = 1000
STREAM_CHUNK = 1000


@dataclass(frozen=True)
class Key:
    """What is remembered of one key."""

    type: str
    digest: str
    """sha256:… of its content in canonical form"""
    last_id: str | None = None
    """of a stream: the newest entry that the digest covers"""

    def to_json(self) -> dict[str, str | None]:
        return {"type": self.type, "digest": self.digest, "last_id": self.last_id}


@dataclass(frozen=True)
class Comparison:
    """Redis now against a record of before."""

    kept: int
    """keys that are as they were"""
    grown: tuple[str, ...]
    """keys of the stable version that it wrote on since, or made"""
    differences: tuple[str, ...]
    """sentences; empty when everything is restored"""


def record(client: redis.Redis) -> dict[str, Key]:
    """Every key with its type and digest."""
    return {name: _read(client, name) for name in sorted(_names(client, "*"))}


def from_json(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Key]:
    return {name: Key(value["type"], value["digest"], value.get("last_id")) for name, value in data.items()}


def compare(before: Mapping[str, Key], client: redis.Redis, rules: Sequence[StateRule]) -> Comparison:
    """What differs now from `before`, but for what the stable version itself wrote since."""
    kept, grown, differences = 0, [], []
    for name, key in before.items():
        rule = rule_for(name, rules)
        problem, changed = _against(client, name, key, is_known=rule is not None and rule.known_to_stable)
        if problem:
            differences.append(problem)
        elif changed:
            grown.append(name)
        else:
            kept += 1
    for name in sorted(set(_names(client, "*")) - set(before)):
        rule = rule_for(name, rules)
        if rule is None:
            differences.append(f"{name}: was not there before and no rule of the plan names it")
        elif not rule.known_to_stable:
            differences.append(f"{name}: written by the new version, still there")
        else:
            grown.append(name)
    return Comparison(kept, tuple(sorted(grown)), tuple(differences))


def rule_for(name: str, rules: Iterable[StateRule]) -> StateRule | None:
    """The rule that says whose key this is; None when the plan does not name it."""
    return next((rule for rule in by_precedence(rules) if fnmatch.fnmatchcase(name, rule.pattern)), None)


def by_precedence(rules: Iterable[StateRule]) -> list[StateRule]:
    """What the stable version knows comes first: a wide pattern for the new version's keys never takes in one of its."""
    return sorted(rules, key=lambda rule: not rule.known_to_stable)


def key_type(client: redis.Redis, name: str) -> str:
    """`none` when the key is not there."""
    return _text(client.type(name))


def _names(client: redis.Redis, pattern: str) -> set[str]:
    return {_text(name) for name in client.scan_iter(match=pattern, count=SCAN_COUNT)}


def _read(client: redis.Redis, name: str, until: str | None = None) -> Key:
    kind = key_type(client, name)
    if kind == "stream":
        return _read_stream(client, name, until)
    content = _content(client, name, kind)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return Key(kind, f"sha256:{digest}")


def _content(client: redis.Redis, name: str, kind: str) -> Any:
    if kind == "string":
        return _text(client.get(name))
    if kind == "hash":
        return {_text(field): _text(value) for field, value in client.hscan_iter(name, count=SCAN_COUNT)}
    if kind == "set":
        return sorted(_text(member) for member in client.sscan_iter(name, count=SCAN_COUNT))
    if kind == "zset":
        return sorted((_text(member), score) for member, score in client.zscan_iter(name, count=SCAN_COUNT))
    if kind == "list":
        values: Any = client.lrange(name, 0, -1)
        return [_text(value) for value in values]
    return None


def _read_stream(client: redis.Redis, name: str, until: str | None) -> Key:
    digest = hashlib.sha256()
    start, last = "-", "0-0"
    while True:
        chunk: Any = client.xrange(name, min=start, max=until or "+", count=STREAM_CHUNK)
        for entry_id, fields in chunk:
            last = _text(entry_id)
            pairs = sorted((_text(field), _text(value)) for field, value in fields.items())
            digest.update(json.dumps([last, pairs]).encode())
        if len(chunk) < STREAM_CHUNK:
            return Key("stream", f"sha256:{digest.hexdigest()}", last)
        start = f"({last}"


def _against(client: redis.Redis, name: str, before: Key, *, is_known: bool) -> tuple[str | None, bool]:
    """(what is wrong or None, whether it changed in an allowed way)."""
    kind = key_type(client, name)
    if kind == "none":
        return f"{name}: was there before, is gone", False
    if kind != before.type:
        return f"{name}: was a {before.type}, is a {kind}", False
    now = _read(client, name, until=before.last_id) if kind == "stream" else _read(client, name)
    if kind == "stream":
        if now.digest != before.digest:
            return f"{name}: entries up to {before.last_id} are not those of before", False
        newest: Any = client.xrevrange(name, count=1)
        grew = bool(newest) and _text(newest[0][0]) != before.last_id
        if grew and not is_known:
            return f"{name}: has grown and no rule says that the stable version writes it", False
        return None, grew
    if now.digest != before.digest and not is_known:
        return f"{name}: its content is not that of before", False
    return None, now.digest != before.digest


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
