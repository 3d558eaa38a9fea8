"""Plan 4.3: copies the keys that the new version wrote and the stable one does not know, before they are removed.

Rules:
1. A key is copied when the first rule that names it says that the stable version does not know it (rules for what the
   stable version knows come first), and it was not there before the release.
2. Every key that a rule names is looked at, and one whose type is not its rule's is an error: no copy is kept, so
   nothing is removed.
3. Redis is never blocked for long: it is asked for a page of keys at a time, a page ends at PAGE_BYTES, and of a
   collection of more than LARGE_ITEMS only parts are read (a large string or stream is read at once).
4. Killed and run again it makes another copy, of what is there then.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from roundtrip import durable
from roundtrip.errors import RollbackError
from roundtrip.plan.model import StateRule
from roundtrip.rollback.in_flight import InFlight, in_flight
from roundtrip.rollout.aside import NO_EXPIRY, RECORD, Header, Record, pack_items, write_header
from roundtrip.rollout.redis_state import by_precedence

log = logging.getLogger(__name__)

PAGE_KEYS = 500
PAGE_BYTES = 1 << 20
LARGE_ITEMS = 2000
PART_ITEMS = 1000
PROGRESS_KEYS = 100_000
MISFITS_TOLD = 10

_PAGE = """
-- Looks only. KEYS: names to look at; none: those of the next page of a scan.
-- ARGV: the type they have to have, how many bytes end the page, above how many items a collection is large;
-- for a scan also cursor, pattern, count.
-- Returns the next cursor, records of what could be copied, names left for another page, names of large collections,
-- names and types of those that have another type.
local cursor, names = "0", KEYS
if #KEYS == 0 then
  local page = redis.call("SCAN", ARGV[4], "MATCH", ARGV[5], "COUNT", ARGV[6])
  cursor, names = page[1], page[2]
end
local read_all = ARGV[1] == "hash" and "HGETALL" or "SMEMBERS"
local size_of = {hash = "HLEN", set = "SCARD", zset = "ZCARD", list = "LLEN"}
local size, most_bytes, most_items = size_of[ARGV[1]], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local copied, left, large, misfits, bytes = {}, {}, {}, {}, 0
for _, name in ipairs(names) do
  local kind = redis.call("TYPE", name).ok
  if kind == "none" then
    -- it expired since the scan saw it
  elseif kind ~= ARGV[1] then
    misfits[#misfits + 1] = name
    misfits[#misfits + 1] = kind
  elseif bytes >= most_bytes then
    left[#left + 1] = name
  elseif size and redis.call(size, name) > most_items then
    large[#large + 1] = name
  else
    local lives_ms, letter, expires_ms = redis.call("PTTL", name), "D", -1
    if lives_ms >= 0 then expires_ms = now + lives_ms end
    local payload = redis.call("DUMP", name)
    -- its first byte is how Redis keeps it; 2 and 4: a set or hash as a hash table
    if string.byte(payload) == 2 or string.byte(payload) == 4 then
      local items = redis.call(read_all, name)
      for i, item in ipairs(items) do items[i] = struct.pack("<I4", #item) .. item end
      letter, payload = string.sub(kind, 1, 1), table.concat(items)
    end
    copied[#copied + 1] = struct.pack("<c1I4i8I4", letter, #name, expires_ms, #payload)
    copied[#copied + 1] = name
    copied[#copied + 1] = payload
    bytes = bytes + #payload
  end
end
return {cursor, table.concat(copied), left, large, misfits}
"""


@dataclass(frozen=True)
class Copied:
    """What a copy holds."""

    keys: int
    by_pattern: Mapping[str, int]
    """keys by the rule that names them"""


@dataclass
class _Tally:
    """What was looked at so far."""

    by_pattern: Counter[str] = field(default_factory=Counter)
    misfits: int = 0
    told: list[str] = field(default_factory=list)
    """the first of the misfits, as sentences"""


def copy_aside(
    client: redis.Redis, rules: Sequence[StateRule], before: Collection[str], path: Path, header: Header
) -> Copied:
    """Copy to `path` what only the new version knows. There is no file when there is no such key.

    `before`: names of keys that were there before the release.
    Raises RollbackError when a key does not fit its rule or the disk does not take the copy; then there is no file.
    """
    tally, protected = _Tally(), {name.encode("utf-8", "surrogateescape") for name in before}
    try:
        with durable.writing(path) as file:
            write_header(file, header)
            for page in _pages(client, by_precedence(rules), protected, tally):
                file.write(page)
            if tally.misfits:
                raise _misfits(tally, header.environment)
    except OSError as error:
        raise RollbackError(
            f"the keys could not be copied aside: {error}",
            where=str(path.parent),
            remedy="nothing was removed; make room there, then run this task again",
        ) from error
    if not tally.by_pattern:
        path.unlink()
    return Copied(tally.by_pattern.total(), dict(tally.by_pattern))


def _pages(
    client: redis.Redis, rules: Sequence[StateRule], protected: Collection[bytes], tally: _Tally
) -> Iterator[bytes]:
    for number, rule in enumerate(rules):
        if rule.known_to_stable:
            continue
        ours = _Ours(rule, _any_of(rules[:number]), protected)
        yield from _RuleCopy(client, ours, tally).pages()


@dataclass(frozen=True)
class _Ours:
    """Which of the names that a rule's pattern finds are the rule's to copy."""

    rule: StateRule
    others: re.Pattern[bytes]
    """what rules before it name"""
    protected: Collection[bytes]

    def names(self, names: Sequence[bytes]) -> list[bytes]:
        return [name for name in names if self.has(name)]

    def has(self, name: bytes) -> bool:
        return self.is_named(name) and name not in self.protected

    def is_named(self, name: bytes) -> bool:
        return self.others.fullmatch(name) is None


class _RuleCopy:
    """Copies the keys of one rule."""

    def __init__(self, client: redis.Redis, ours: _Ours, tally: _Tally) -> None:
        self._client = client
        self._ours = ours
        self._tally = tally
        self._script = client.script_load(_PAGE)
        self._limits = (ours.rule.type, PAGE_BYTES, LARGE_ITEMS)

    def pages(self) -> Iterator[bytes]:
        """Records, page by page. While a page is taken apart here, Redis is already at the next one."""
        with in_flight(self._client) as talk:
            self._ask(talk, b"0")
            while talk.unanswered:
                cursor, copied, left, large, misfits = talk.answer()
                if cursor != b"0":
                    self._ask(talk, cursor)
                yield from self._page(copied, large, misfits)
                yield from self._rest(left)

    def _ask(self, talk: InFlight, cursor: bytes) -> None:
        """For the page of the scan that begins at `cursor`."""
        scan = (cursor, self._ours.rule.pattern, PAGE_KEYS)
        talk.ask("EVALSHA", self._script, 0, *self._limits, *scan)

    def _rest(self, left: list[bytes]) -> Iterator[bytes]:
        """What did not fit into its page."""
        names = self._ours.names(left)
        while names:
            answer: Any = self._client.evalsha(self._script, len(names), *names, *self._limits)
            _, copied, names, large, misfits = answer
            yield from self._page(copied, large, misfits)

    def _page(self, copied: bytes, large: list[bytes], misfits: list[bytes]) -> Iterator[bytes]:
        yield from self._kept(copied)
        for name in self._ours.names(large):
            yield from _parts(self._client, name, self._ours.rule.type)
            self._count()
        for name, kind in zip(misfits[::2], misfits[1::2], strict=True):
            if self._ours.is_named(name):
                self._tally.misfits += 1
                self._tell(name, kind)

    def _kept(self, copied: bytes) -> Iterator[bytes]:
        """Of a page's records those that are the rule's to copy, in one piece when all are."""
        start = at = 0
        while at < len(copied):
            _, name_length, _, payload_length = RECORD.unpack_from(copied, at)
            name = copied[at + RECORD.size : at + RECORD.size + name_length]
            after = at + RECORD.size + name_length + payload_length
            if self._ours.has(name):
                self._count()
            else:
                yield copied[start:at]
                start = after
            at = after
        yield copied[start:]

    def _count(self) -> None:
        self._tally.by_pattern[self._ours.rule.pattern] += 1
        if self._tally.by_pattern[self._ours.rule.pattern] % PROGRESS_KEYS == 0:
            log.info("%d keys are copied", self._tally.by_pattern.total())

    def _tell(self, name: bytes, kind: bytes) -> None:
        if len(self._tally.told) < MISFITS_TOLD:
            rule = self._ours.rule
            text = name.decode("utf-8", "backslashreplace")
            self._tally.told.append(
                f"{text}: rule {rule.pattern} says {rule.type}, Redis has {kind.decode()}"
            )


def _parts(client: redis.Redis, name: bytes, kind: str) -> Iterator[bytes]:
    """A large collection as records of a bounded number of items."""
    expires_ms = _expires_ms(client, name)
    for items in _items(client, name, kind):
        if items:
            yield Record(kind[:1].encode(), name, expires_ms, pack_items(items)).pack()


def _items(client: redis.Redis, name: bytes, kind: str) -> Iterator[list[bytes]]:
    """Of a hash fields and values in turn, of a sorted set members and scores, else the members, in pages."""
    answer: Any
    if kind == "list":
        for start in range(0, int(client.llen(name)), PART_ITEMS):
            answer = client.lrange(name, start, start + PART_ITEMS - 1)
            yield answer
        return
    command, cursor = {"hash": "HSCAN", "set": "SSCAN", "zset": "ZSCAN"}[kind], b"0"
    with in_flight(client) as talk:
        while True:
            talk.ask(command, name, cursor, "COUNT", PART_ITEMS)
            cursor, items = talk.answer()
            yield items
            if cursor == b"0":
                return


def _expires_ms(client: redis.Redis, name: bytes) -> int:
    seconds, microseconds = client.time()
    lives_ms = int(client.pttl(name))
    return NO_EXPIRY if lives_ms < 0 else seconds * 1000 + microseconds // 1000 + lives_ms


def _any_of(rules: Sequence[StateRule]) -> re.Pattern[bytes]:
    """What any of `rules` names. By bytes, as Redis does it."""
    patterns = (fnmatch.translate(rule.pattern.encode().decode("latin-1")) for rule in rules)
    return re.compile("|".join(patterns).encode("latin-1") or rb"(?!)")


def _misfits(tally: _Tally, environment: str) -> RollbackError:
    return RollbackError(
        f"{tally.misfits} keys do not fit the plan's state rules: " + "; ".join(tally.told),
        where=environment,
        remedy="nothing was removed; mend rollback.state in the plan or the keys, then run this task again",
    )
