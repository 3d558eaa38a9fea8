from __future__ import annotations

import redis

from tests.trading import order, pending, placed
from workers.services import order_stream
from workers.services.order_stream import OrderStream, new_consumer_name


def test_consumer_names_differ_within_a_process() -> None:
    assert new_consumer_name() != new_consumer_name()


def test_the_group_is_made_once_and_reads_from_the_beginning(client: redis.Redis) -> None:
    placed(client, order("a"))
    one, other = OrderStream(client, "one"), OrderStream(client, "other")
    assert [event.fields["order_id"] for event in one.take()] == ["a"]
    assert other.take() == []


def test_after_a_failure_the_own_unfinished_events_come_first(client: redis.Redis) -> None:
    stream = OrderStream(client, "one")
    placed(client, order("a"))
    taken = stream.take()
    placed(client, order("b"))
    stream.doubt()
    assert stream.take() == taken
    assert [event.fields["order_id"] for event in stream.take()] == ["b"]


def test_the_group_is_made_again_when_redis_lost_it(client: redis.Redis) -> None:
    stream = OrderStream(client, "one")
    assert stream.take() == []
    client.flushall()
    placed(client, order("a"))
    stream.doubt()
    assert [event.fields["order_id"] for event in stream.take()] == ["a"]


def test_what_is_handed_back_is_claimed_at_once(client: redis.Redis) -> None:
    one, other = OrderStream(client, "one"), OrderStream(client, "other")
    for order_id in "abc":
        placed(client, order(order_id))
    events = one.take()
    one.hand_back(events[1:])
    assert other.take() == events[1:]
    assert pending(client) == 3


def test_what_a_consumer_has_in_hand_is_not_claimed(client: redis.Redis) -> None:
    placed(client, order("a"))
    assert OrderStream(client, "one").take()
    assert OrderStream(client, "other").take() == []


def test_a_consumer_that_leaves_is_forgotten_unless_something_is_pending_for_it(client: redis.Redis) -> None:
    busy, idle = OrderStream(client, "busy"), OrderStream(client, "idle")
    placed(client, order("a"))
    assert busy.take()
    assert idle.take() == []
    busy.leave()
    idle.leave()
    assert [consumer["name"] for consumer in client.xinfo_consumers("orders", "workers")] == ["busy"]
    assert pending(client) == 1


def test_lag_counts_what_nobody_took(client: redis.Redis) -> None:
    stream = OrderStream(client, "one")
    stream.take()
    first = placed(client, order("a"))
    placing = client.pipeline(transaction=False)
    for number in range(order_stream._LAG_PAGE + 5):
        placing.xadd("orders", order(str(number)))
    placing.execute()
    assert stream.lag() == order_stream._LAG_PAGE + 6
    client.xdel("orders", first.entry_id)  # Redis 7 cannot tell then, and Redis 6 never can
    assert stream.lag() == order_stream._LAG_PAGE + 5
