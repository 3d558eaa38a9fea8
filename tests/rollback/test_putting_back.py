"""What was removed can be put back: all of it, the same, over nobody's keys, also after a kill."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundtrip.errors import RollbackError, StaleTokenError
from roundtrip.plan.model import StateRule
from roundtrip.rollback import copying
from roundtrip.rollback.copying import copy_aside
from roundtrip.rollback.guarding import holds
from roundtrip.rollback.putting_back import PutBack, put_back, restore_state
from roundtrip.rollback.removing import remove
from roundtrip.rollback.state import revert_state
from roundtrip.rollout import aside, redis_state
from roundtrip.rollout.aside import Header
from tests.rollback.conftest import ENVIRONMENT, Reached

TYPES = ("string", "hash", "set", "zset", "list", "stream")
RULES = [StateRule(pattern=f"{kind}:*", type=kind, known_to_stable=False) for kind in TYPES]
HEADER = Header("r", "e", "2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00")
LARGE = 2 * copying.LARGE_ITEMS + 1


def fill(client: redis.Redis) -> None:
    """Every type: small, kept as a hash table, large; binary; one that expires."""
    long = os.urandom(100)
    client.set("string:a", long)
    client.hset("hash:small", mapping={"a": "1", b"\xff\x00": b"\x00\xfe"})
    client.hset("hash:table", mapping={f"f{n}": long for n in range(50)})
    client.hset("hash:large", mapping={f"f{n}": n for n in range(LARGE)})
    client.sadd("set:numbers", 1, 2, 3)
    client.sadd("set:table", *(f"m{n}" for n in range(50)))
    client.sadd("set:large", *(f"m{n}" for n in range(LARGE)))
    client.zadd("zset:small", {"a": 0.1, "b": float("inf"), "c": -1e300})
    client.zadd("zset:large", {f"m{n}": n / 7 for n in range(LARGE)})
    client.rpush("list:small", *"abca")
    client.rpush("list:large", *(n % 10 for n in range(LARGE)))
    client.xadd("stream:a", {"a": "1"})
    client.xgroup_create("stream:a", "workers", id="0")
    client.xreadgroup("workers", "w", {"stream:a": ">"})
    for name in ("string:a", "hash:large", "list:small"):
        client.pexpire(name, 3_600_000)


def taken(client: redis.Redis, path: Path) -> Path:
    """All keys copied to `path` and removed."""
    copy_aside(client, RULES, (), path, HEADER)
    remove(client, path)
    assert client.dbsize() == 0
    return path


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "aside" / "e-000000001.keys"


def test_every_type_comes_back_as_it_was_with_the_moment_of_its_end(
    redis_client: redis.Redis, copy: Path
) -> None:
    fill(redis_client)
    before = redis_state.record(redis_client)
    pending: Any = redis_client.xpending("stream:a", "workers")
    taken(redis_client, copy)
    assert put_back(redis_client, [copy], "e") == PutBack(keys=len(before))
    assert redis_state.record(redis_client) == before
    assert redis_client.xpending("stream:a", "workers") == pending
    for name in before:
        lives_ms = redis_client.pttl(name)
        if name in ("string:a", "hash:large", "list:small"):
            assert 3_500_000 < lives_ms <= 3_600_000, name
        else:
            assert lives_ms == -1, name


def test_run_again_it_finds_everything_there(redis_client: redis.Redis, copy: Path) -> None:
    fill(redis_client)
    keys = redis_client.dbsize()
    taken(redis_client, copy)
    put_back(redis_client, [copy], "e")
    assert put_back(redis_client, [copy], "e") == PutBack(there=keys)


@pytest.mark.parametrize("kind", ["hash", "set", "zset", "list"])
def test_a_large_collection_of_which_a_part_is_there_is_completed(
    redis_client: redis.Redis, copy: Path, kind: str
) -> None:
    fill(redis_client)
    name = f"{kind}:large"
    redis_client.delete(*(other for other in redis_client.scan_iter() if other != name.encode()))
    before = redis_state.record(redis_client)[name]
    taken(redis_client, copy)
    put_back(redis_client, [copy], "e")
    cut = {
        "hash": lambda: redis_client.hdel(name, *(f"f{n}" for n in range(100, LARGE))),
        "set": lambda: redis_client.srem(name, *(f"m{n}" for n in range(100, LARGE))),
        "zset": lambda: redis_client.zrem(name, *(f"m{n}" for n in range(100, LARGE))),
        "list": lambda: redis_client.ltrim(name, 0, copying.PART_ITEMS + 99),
    }
    cut[kind]()
    assert put_back(redis_client, [copy], "e").keys == 1
    assert redis_state.record(redis_client)[name] == before


OTHERS: dict[str, Any] = {
    "string:a": lambda c: c.set("string:a", "other"),
    "hash:small": lambda c: c.hset("hash:small", "a", "2"),
    "hash:table": lambda c: c.hset("hash:table", "unknown", "1"),
    "hash:large": lambda c: c.hset("hash:large", "f7", "other"),
    "set:table": lambda c: c.sadd("set:table", "unknown"),
    "set:large": lambda c: c.set("set:large", "of another type"),
    "zset:large": lambda c: c.zadd("zset:large", {"m7": 3}),
    "list:large": lambda c: c.rpush("list:large", "not how the copy begins"),
    "stream:a": lambda c: c.xadd("stream:a", {"b": "1"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_key_that_is_there_with_another_content_stops_it_before_anything_is_put_back(
    redis_client: redis.Redis, copy: Path, name: str
) -> None:
    fill(redis_client)
    taken(redis_client, copy)
    OTHERS[name](redis_client)
    before = redis_client.dump(name)
    with pytest.raises(RollbackError, match=f"1 keys are there with another content: {name}"):
        put_back(redis_client, [copy], "e")
    assert redis_client.keys() == [name.encode()]
    assert redis_client.dump(name) == before


def test_of_a_key_in_two_copies_the_newest_counts(redis_client: redis.Redis, copy: Path) -> None:
    redis_client.mset({"string:a": "old", "string:b": "only in the first"})
    taken(redis_client, copy)
    redis_client.set("string:a", "new")
    newer = taken(redis_client, copy.with_name("e-000000002.keys"))
    assert put_back(redis_client, [newer, copy], "e") == PutBack(keys=2)
    assert redis_client.mget("string:a", "string:b") == [b"new", b"only in the first"]


def test_a_key_whose_time_is_past_is_not_put_back(redis_client: redis.Redis, copy: Path) -> None:
    redis_client.set("string:a", "1", px=3_600_000)
    redis_client.set("string:b", "1")
    taken(redis_client, copy)
    past = copy.with_name("e-000000002.keys")
    with past.open("wb") as file:
        aside.write_header(file, HEADER)
        for record in aside.records(copy):
            ends = record.expires_ms if record.expires_ms == aside.NO_EXPIRY else 1
            file.write(aside.Record(record.kind, record.name, ends, record.payload).pack())
    assert put_back(redis_client, [past], "e") == PutBack(keys=1, expired=1)
    assert redis_client.keys() == [b"string:b"]


values = st.one_of(
    st.tuples(st.just("string"), st.binary(max_size=80)),
    st.tuples(st.just("hash"), st.dictionaries(st.binary(max_size=80), st.binary(max_size=80), min_size=1)),
    st.tuples(st.just("set"), st.sets(st.binary(max_size=80), min_size=1)),
    st.tuples(st.just("list"), st.lists(st.binary(max_size=80), min_size=1)),
    st.tuples(
        st.just("zset"), st.dictionaries(st.binary(max_size=80), st.floats(allow_nan=False), min_size=1)
    ),
)
writes: dict[str, Any] = {
    "string": lambda c, name, value: c.set(name, value),
    "hash": lambda c, name, value: c.hset(name, mapping=value),
    "set": lambda c, name, value: c.sadd(name, *value),
    "list": lambda c, name, value: c.rpush(name, *value),
    "zset": lambda c, name, value: c.zadd(name, value),
}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.binary(max_size=4), values, max_size=6))
def test_copied_removed_and_put_back_is_the_same(
    redis_client: redis.Redis, copy: Path, content: dict[bytes, tuple[str, Any]]
) -> None:
    redis_client.flushdb()
    copy.unlink(missing_ok=True)
    for suffix, (kind, value) in content.items():
        writes[kind](redis_client, kind.encode() + b":" + suffix, value)
    before = _record(redis_client)
    if not before:
        return
    taken(redis_client, copy)
    assert put_back(redis_client, [copy], "e") == PutBack(keys=len(before))
    assert _record(redis_client) == before


def _record(client: redis.Redis) -> dict[bytes, Any]:
    read: dict[bytes, Any] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda name: client.lrange(name, 0, -1),
        b"zset": lambda name: client.zrange(name, 0, -1, withscores=True),
    }
    return {name: read[client.type(name)](name) for name in client.scan_iter()}  # type: ignore[index]


# The command's rules, on a release.


@pytest.fixture
def taken_back(reached: Reached) -> Reached:
    """Rolled back and closed: what 1.1.0 wrote is in a copy."""
    revert_state(reached.release)
    reached.ends("ROLLED BACK")
    return reached


def restored(reached: Reached, *, force: bool = False) -> PutBack:
    return restore_state(reached.release, "production", force=force, actor="tester")


def test_where_the_new_version_is_back_it_gets_its_keys(taken_back: Reached) -> None:
    taken_back.runs("1.1.0")
    taken_back.client.delete("risk:exposure")
    taken_back.ends("PROMOTED")
    assert restored(taken_back) == PutBack(keys=1)
    assert taken_back.client.hgetall("risk:exposure") == {b"BTC-USD": b"1"}
    event = taken_back.release.ledger.last(taken_back.release.id, "state.restored")
    assert event is not None
    assert event.actor == "tester"
    assert event.data == {
        "environment": ENVIRONMENT,
        "keys": 1,
        "there": 0,
        "expired": 0,
        "files": [taken_back.copies()[0].name],
        "forced": False,
    }


def test_where_the_stable_version_runs_alone_it_has_to_be_forced(taken_back: Reached) -> None:
    with pytest.raises(RollbackError, match=r"expected 1\.1\.0 to run, got 1\.0\.0, .* --force"):
        restored(taken_back)
    assert not taken_back.client.exists("risk:exposure")
    assert restored(taken_back, force=True) == PutBack(keys=1)


def test_in_the_middle_of_a_rollback_it_has_to_be_forced_and_stops_the_rollback(taken_back: Reached) -> None:
    taken_back.runs("1.1.0")
    token = taken_back.release.ledger.newest_token(ENVIRONMENT)
    with pytest.raises(RollbackError, match=r"release_small\.r1 has begun something here and not ended"):
        restored(taken_back)
    assert taken_back.release.ledger.newest_token(ENVIRONMENT) == token
    taken_back.client.delete("risk:exposure")
    assert restored(taken_back, force=True).keys == 1
    with pytest.raises(StaleTokenError):
        holds(taken_back.release, ENVIRONMENT, token)()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda copy: copy.unlink(), "the copy is not there any more"),
        (lambda copy: copy.write_bytes(copy.read_bytes()[:-1]), "the copy is damaged: expected sha256:"),
        (lambda copy: copy.write_bytes(copy.read_bytes() + b"D"), "the copy is damaged: expected sha256:"),
    ],
)
def test_a_copy_that_is_gone_or_damaged_is_refused(taken_back: Reached, spoil: Any, says: str) -> None:
    [copy] = taken_back.copies()
    spoil(copy)
    with pytest.raises(RollbackError, match=says):
        restored(taken_back, force=True)
    assert taken_back.client.keys() == [b"orders"]


def test_a_copy_past_its_time_is_refused_also_when_the_file_is_still_there(taken_back: Reached) -> None:
    event = taken_back.release.ledger.last(taken_back.release.id, "state.copied")
    assert event is not None
    past = {**event.data, "kept_until": (datetime.now(UTC) - timedelta(minutes=1)).isoformat()}
    taken_back.release.ledger.append_once(taken_back.release.id, "state.copied", "older", past)
    with pytest.raises(RollbackError, match=r"was kept until .*state_kept_days"):
        restored(taken_back, force=True)


def test_a_release_that_removed_nothing_says_so(reached: Reached) -> None:
    with pytest.raises(RollbackError, match="no rollback of this release has removed a key here"):
        restored(reached, force=True)
