"""What only the new version knows is copied aside, then removed: nothing else, and nothing before all of it fits."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundtrip.errors import RollbackError, StaleTokenError
from roundtrip.plan.model import StateRule
from roundtrip.rollback import copying
from roundtrip.rollback.copying import Copied, copy_aside
from roundtrip.rollback.removing import remove
from roundtrip.rollout import aside
from roundtrip.rollout.aside import Header

RULES = [
    StateRule(pattern="risk:pnl", type="string", known_to_stable=False),
    StateRule(pattern="risk:exposure:*", type="hash", known_to_stable=False),
    StateRule(pattern="orders", type="stream", known_to_stable=True),
]
HEADER = Header("r", "e", "2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "aside" / "e-000000001.keys"


def copied(
    client: redis.Redis, copy: Path, before: Collection[str] = (), rules: list[StateRule] = RULES
) -> Copied:
    return copy_aside(client, rules, before, copy, HEADER)


def names_in(copy: Path) -> list[bytes]:
    return sorted(aside.names(copy)) if copy.exists() else []


def test_keys_of_the_new_version_go_and_all_others_stay(redis_client: redis.Redis, copy: Path) -> None:
    redis_client.set("risk:pnl", "1")
    redis_client.hset("risk:exposure:BTC", "a", "1")
    redis_client.xadd("orders", {"a": "1"})
    redis_client.set("risk:exposured", "not named by a rule")
    assert copied(redis_client, copy) == Copied(2, {"risk:pnl": 1, "risk:exposure:*": 1})
    assert redis_client.dbsize() == 4, "a copy removes nothing"
    assert remove(redis_client, copy) == 2
    assert set(redis_client.keys()) == {b"orders", b"risk:exposured"}


def test_a_key_of_another_type_stops_before_anything_is_removed_or_kept(
    redis_client: redis.Redis, copy: Path
) -> None:
    redis_client.set("risk:pnl", "1")
    redis_client.set("risk:exposure:BTC", "not a hash")
    with pytest.raises(
        RollbackError,
        match=r"1 keys do not fit .*: risk:exposure:BTC: rule risk:exposure:\* says hash, Redis has string",
    ):
        copied(redis_client, copy)
    assert redis_client.dbsize() == 2
    assert list(copy.parent.iterdir()) == []


def test_every_key_is_looked_at_before_the_first_misfit_is_told(
    redis_client: redis.Redis, copy: Path
) -> None:
    for number in range(3 * copying.PAGE_KEYS):
        redis_client.set(f"risk:exposure:{number}", "1")
    with pytest.raises(RollbackError) as raised:
        copied(redis_client, copy)
    assert f"{3 * copying.PAGE_KEYS} keys do not fit" in str(raised.value)
    assert str(raised.value).count("Redis has string") == copying.MISFITS_TOLD


def test_a_key_that_was_there_before_the_release_is_never_copied_or_removed(
    redis_client: redis.Redis, copy: Path
) -> None:
    redis_client.hset("risk:exposure:A", "a", "1")
    redis_client.hset("risk:exposure:B", "a", "1")
    assert copied(redis_client, copy, {"risk:exposure:A"}).keys == 1
    remove(redis_client, copy)
    assert redis_client.keys() == [b"risk:exposure:A"]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_wide_pattern_takes_in_nothing_that_the_stable_version_knows(
    redis_client: redis.Redis, copy: Path, is_first: bool
) -> None:
    wide = StateRule(pattern="risk:*", type="hash", known_to_stable=False)
    known = StateRule(pattern="risk:limits", type="string", known_to_stable=True)
    redis_client.hset("risk:exposure", "a", "1")
    redis_client.set("risk:limits", "100")
    assert copied(redis_client, copy, rules=[wide, known] if is_first else [known, wide]).keys == 1
    assert names_in(copy) == [b"risk:exposure"]


def test_no_key_leaves_no_file_and_removes_nothing(redis_client: redis.Redis, copy: Path) -> None:
    redis_client.xadd("orders", {"a": "1"})
    assert copied(redis_client, copy) == Copied(0, {})
    assert list(copy.parent.iterdir()) == []


def test_only_its_owner_reads_a_copy(redis_client: redis.Redis, copy: Path) -> None:
    redis_client.set("risk:pnl", "1")
    copied(redis_client, copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_disk_that_is_full_stops_before_anything_is_removed(redis_client: redis.Redis) -> None:
    redis_client.set("risk:pnl", "1")
    folder = Path("/proc/self/aside")  # where no file can be made
    with pytest.raises(RollbackError, match=r"could not be copied aside: .* nothing was removed"):
        copied(redis_client, folder / "e.keys")
    assert redis_client.dbsize() == 1


def test_more_than_a_page_and_more_than_its_bytes_are_all_copied_once(
    redis_client: redis.Redis, copy: Path
) -> None:
    pipeline = redis_client.pipeline(transaction=False)
    expected = [f"risk:exposure:{number}".encode() for number in range(5 * copying.PAGE_KEYS + 1)]
    for name in expected:
        pipeline.hset(name, "a", "1")
    incompressible = os.urandom(copying.PAGE_BYTES // 4)
    for name in expected[:40]:
        pipeline.hset(name, "large", incompressible)
    pipeline.execute()
    assert copied(redis_client, copy).keys == len(expected)
    assert names_in(copy) == sorted(expected)
    assert remove(redis_client, copy) == len(expected)
    assert redis_client.dbsize() == 0


def test_a_removal_killed_half_way_is_finished_by_the_next_run(redis_client: redis.Redis, copy: Path) -> None:
    pipeline = redis_client.pipeline(transaction=False)
    for number in range(20_000):
        pipeline.hset(f"risk:exposure:{number}", "a", "1")
    pipeline.execute()
    copied(redis_client, copy)

    class KilledError(Exception):
        pass

    turns = iter(range(3))

    def killed() -> None:
        if next(turns, None) is None:
            raise KilledError

    with pytest.raises(KilledError):
        remove(redis_client, copy, killed, guard_seconds=0)
    left = redis_client.dbsize()
    assert 0 < left < 20_000
    again = copy.with_name("e-000000002.keys")
    assert copied(redis_client, again).keys == left
    assert remove(redis_client, again) == left
    assert redis_client.dbsize() == 0
    assert set(names_in(copy)) >= set(names_in(again))


def test_who_was_overtaken_removes_nothing(redis_client: redis.Redis, copy: Path) -> None:
    redis_client.set("risk:pnl", "1")
    copied(redis_client, copy)

    def overtaken() -> None:
        raise StaleTokenError("token 1 is older than 2")

    with pytest.raises(StaleTokenError):
        remove(redis_client, copy, overtaken)
    assert redis_client.get("risk:pnl") == b"1"


def test_a_key_that_expires_is_copied_with_the_moment_of_its_end(
    redis_client: redis.Redis, copy: Path
) -> None:
    redis_client.set("risk:pnl", "1", px=3_600_000)
    redis_client.hset("risk:exposure:A", "a", "1")
    copied(redis_client, copy)
    ends = {record.name: record.expires_ms for record in aside.records(copy)}
    assert ends[b"risk:exposure:A"] == aside.NO_EXPIRY
    assert ends[b"risk:pnl"] == pytest.approx(time.time() * 1000 + 3_600_000, abs=60_000)


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        ("hash", lambda c, name, count: c.hset(name, mapping={f"f{n}": n for n in range(count)})),
        ("set", lambda c, name, count: c.sadd(name, *(f"m{n}" for n in range(count)))),
        ("zset", lambda c, name, count: c.zadd(name, {f"m{n}": n for n in range(count)})),
        ("list", lambda c, name, count: c.rpush(name, *range(count))),
    ],
)
def test_a_large_collection_is_read_in_parts_and_is_one_key(
    redis_client: redis.Redis, copy: Path, kind: Any, write: Any
) -> None:
    rules = [StateRule(pattern="risk:*", type=kind, known_to_stable=False)]
    write(redis_client, "risk:large", copying.LARGE_ITEMS + 1)
    write(redis_client, "risk:small", copying.LARGE_ITEMS)
    assert copied(redis_client, copy, rules=rules).keys == 2
    records = list(aside.records(copy))
    assert len([record for record in records if record.name == b"risk:small"]) == 1
    parts = [record for record in records if record.name == b"risk:large"]
    assert len(parts) >= 2
    assert {part.kind for part in parts} == {kind[:1].encode()}
    assert names_in(copy) == [b"risk:large", b"risk:small"]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sets(st.sampled_from(["risk:pnl", "risk:exposure:A", "risk:exposure:B", "orders", "risk:other", "x"]))
)
def test_what_is_copied_is_exactly_what_a_rule_of_the_new_version_names(
    redis_client: redis.Redis, copy: Path, names: set[str]
) -> None:
    redis_client.flushdb()
    for name in names:
        if name.startswith("risk:exposure:"):
            redis_client.hset(name, "a", "1")
        elif name == "orders":
            redis_client.xadd(name, {"a": "1"})
        else:
            redis_client.set(name, "1")
    expected = sorted(name.encode() for name in names & {"risk:pnl", "risk:exposure:A", "risk:exposure:B"})
    copy.unlink(missing_ok=True)
    assert copied(redis_client, copy).keys == len(expected)
    assert names_in(copy) == expected


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.text("ab*?", min_size=1, max_size=4),
    st.sets(st.binary(min_size=1, max_size=4) | st.text("abé\n", min_size=1, max_size=4).map(str.encode)),
)
def test_redis_and_we_understand_a_pattern_alike(
    redis_client: redis.Redis, pattern: str, names: set[bytes]
) -> None:
    redis_client.flushdb()
    for name in names:
        redis_client.set(name, "1")
    ours = copying._any_of([StateRule(pattern=pattern, type="string", known_to_stable=False)])
    assert {name for name in names if ours.fullmatch(name)} == set(redis_client.keys(pattern))
