"""What Redis holds, before and after: change is told from growth, and nothing slips through."""

from __future__ import annotations

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundtrip.plan.model import StateRule
from roundtrip.rollout.redis_state import Key, compare, from_json, record

RULES = [
    StateRule(pattern="risk:*", type="hash", known_to_stable=False),
    StateRule(pattern="orders", type="stream", known_to_stable=True),
]


@pytest.fixture
def client(redis_client: redis.Redis) -> redis.Redis:
    redis_client.xadd("orders", {"order_id": "1", "quantity": "0.5"})
    redis_client.set("limits", "100")
    return redis_client


def test_nothing_differs_when_nothing_happened(client: redis.Redis) -> None:
    result = compare(record(client), client, RULES)
    assert (result.kept, result.grown, result.differences) == (2, (), ())


def test_a_stream_of_the_stable_version_may_grow(client: redis.Redis) -> None:
    before = record(client)
    client.xadd("orders", {"order_id": "2", "quantity": "1"})
    result = compare(before, client, RULES)
    assert (result.kept, result.grown, result.differences) == (1, ("orders",), ())


def test_a_stream_whose_old_entries_changed_differs(client: redis.Redis) -> None:
    before = record(client)
    first = client.xrange("orders")[0][0]
    client.xdel("orders", first)
    client.xadd("orders", {"order_id": "2", "quantity": "1"})
    assert compare(before, client, RULES).differences == (
        f"orders: entries up to {first.decode()} are not those of before",
    )


def test_a_stream_that_no_rule_names_may_not_grow(client: redis.Redis) -> None:
    client.xadd("audit", {"a": "1"})
    before = record(client)
    client.xadd("audit", {"a": "2"})
    assert compare(before, client, RULES).differences == (
        "audit: has grown and no rule says that the stable version writes it",
    )


def test_a_key_of_the_new_version_left_behind_differs(client: redis.Redis) -> None:
    before = record(client)
    client.hset("risk:exposure", "BTC-USD", "1")
    assert compare(before, client, RULES).differences == (
        "risk:exposure: written by the new version, still there",
    )


def test_a_key_that_nobody_declared_differs(client: redis.Redis) -> None:
    before = record(client)
    client.set("surprise", "1")
    assert compare(before, client, RULES).differences == (
        "surprise: was not there before and no rule of the plan names it",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.delete("limits"), "limits: was there before, is gone"),
        (lambda c: c.set("limits", "101"), "limits: its content is not that of before"),
        (lambda c: (c.delete("limits"), c.hset("limits", "a", "1")), "limits: was a string, is a hash"),
    ],
)
def test_a_changed_key_differs(client: redis.Redis, change: object, message: str) -> None:
    before = record(client)
    change(client)  # type: ignore[operator]
    assert compare(before, client, RULES).differences == (message,)


values = st.one_of(
    st.tuples(st.just("string"), st.binary(min_size=1, max_size=8)),
    st.tuples(
        st.just("hash"),
        st.dictionaries(st.binary(min_size=1, max_size=4), st.binary(max_size=4), min_size=1, max_size=4),
    ),
    st.tuples(st.just("set"), st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=4)),
    st.tuples(st.just("list"), st.lists(st.binary(min_size=1, max_size=4), min_size=1, max_size=4)),
    st.tuples(
        st.just("zset"),
        st.dictionaries(st.binary(min_size=1, max_size=4), st.integers(0, 9), min_size=1, max_size=4),
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), values, max_size=5))
def test_what_was_recorded_survives_json_and_equals_itself(
    redis_client: redis.Redis, content: dict[str, tuple[str, object]]
) -> None:
    redis_client.flushdb()
    for name, (kind, value) in content.items():
        _write(redis_client, name, kind, value)
    before = from_json({name: key.to_json() for name, key in record(redis_client).items()})
    assert set(before) == set(content)
    assert all(isinstance(key, Key) for key in before.values())
    assert compare(before, redis_client, RULES).differences == ()


def _write(client: redis.Redis, name: str, kind: str, value: object) -> None:
    write = {
        "string": lambda: client.set(name, value),
        "hash": lambda: client.hset(name, mapping=value),
        "set": lambda: client.sadd(name, *value),
        "list": lambda: client.rpush(name, *value),
        "zset": lambda: client.zadd(name, value),
    }
    write[kind]()
