"""Only the new version's keys are removed, and none before every one of them fits its rule."""

from __future__ import annotations

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roundtrip.errors import RollbackError
from roundtrip.plan.model import StateRule
from roundtrip.rollback.state import UNLINK_BATCH, remove, to_remove

RULES = [
    StateRule(pattern="risk:pnl", type="string", known_to_stable=False),
    StateRule(pattern="risk:exposure:*", type="hash", known_to_stable=False),
    StateRule(pattern="orders", type="stream", known_to_stable=True),
]


def test_keys_of_the_new_version_go_and_all_others_stay(redis_client: redis.Redis) -> None:
    redis_client.set("risk:pnl", "1")
    redis_client.hset("risk:exposure:BTC", "a", "1")
    redis_client.xadd("orders", {"a": "1"})
    redis_client.set("risk:exposured", "not named by a rule")
    remove(redis_client, to_remove(redis_client, RULES, set(), "e"))
    assert set(redis_client.keys()) == {b"orders", b"risk:exposured"}


def test_a_key_of_another_type_stops_the_step_before_anything_is_removed(redis_client: redis.Redis) -> None:
    redis_client.set("risk:pnl", "1")
    redis_client.set("risk:exposure:BTC", "not a hash")
    before = set(redis_client.keys())
    with pytest.raises(
        RollbackError, match=r"risk:exposure:BTC: rule risk:exposure:\* says hash, Redis has string"
    ):
        to_remove(redis_client, RULES, set(), "e")
    assert set(redis_client.keys()) == before


def test_a_key_that_was_there_before_the_release_is_never_removed(redis_client: redis.Redis) -> None:
    redis_client.set("risk:pnl", "1")
    assert to_remove(redis_client, RULES, {"risk:pnl"}, "e") == []


def test_more_keys_than_a_batch_all_go_and_running_again_changes_nothing(redis_client: redis.Redis) -> None:
    pipeline = redis_client.pipeline()
    for n in range(2 * UNLINK_BATCH + 1):
        pipeline.hset(f"risk:exposure:{n}", "a", "1")
    pipeline.execute()
    remove(redis_client, to_remove(redis_client, RULES, set(), "e"))
    assert redis_client.dbsize() == 0
    assert to_remove(redis_client, RULES, set(), "e") == []


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sets(st.sampled_from(["risk:pnl", "risk:exposure:A", "risk:exposure:B", "orders", "risk:other", "x"]))
)
def test_what_is_removed_is_exactly_what_a_rule_of_the_new_version_names(
    redis_client: redis.Redis, names: set[str]
) -> None:
    redis_client.flushdb()
    for name in names:
        if name.startswith("risk:exposure:"):
            redis_client.hset(name, "a", "1")
        elif name == "orders":
            redis_client.xadd(name, {"a": "1"})
        else:
            redis_client.set(name, "1")
    named = {"risk:pnl", "risk:exposure:A", "risk:exposure:B"}
    assert set(to_remove(redis_client, RULES, set(), "e")) == names & named
