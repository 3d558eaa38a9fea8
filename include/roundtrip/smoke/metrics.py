"""Metrics update correctly (plan 3.2): counters move by what was sent, no less and no more.

Other traffic may run. So counters are bracketed: a counter read between two moments of the streams moved
by at least the
entries inside the shorter bracket, and by no more than those inside the longer one. Without other traffic
both
brackets are equal, and the move has to be exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx
import redis
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from roundtrip.smoke.door import FrontDoor, Instance, request, wait_until
from roundtrip.smoke.journal import ORDERS, entries, fills_after, moment, position
from roundtrip.smoke.trading import FILL_LIMIT_SECONDS, make_trades, place, wait_filled
from roundtrip.tls import trusted

TRADES = 20
SETTLE_LIMIT_SECONDS = 10.0
SCRAPE_LIMIT_SECONDS = 5.0


@dataclass(frozen=True)
class Reading:
    """Counters, and the streams' ends right before and right after they were read."""

    accepted: float
    """POST /api/orders answered 202, over all api instances"""
    handled: float
    """orders filled or rejected, over all worker replicas"""
    orders_before: str
    orders_after: str
    fills_before: str
    fills_after: str


def metrics_move(door: FrontDoor) -> None:
    """The api counts the orders that it accepted, the workers those that they filled or rejected."""
    with door.redis() as state, door.client() as client:
        first = _read(door, state)
        before = moment(state)
        trades = make_trades(TRADES)
        place(client, trades)
        wait_filled(door, state, trades, before, limit_seconds=FILL_LIMIT_SECONDS)

        # A counter is raised a moment after its entry is written, so the second reading may be repeated.
        def outside() -> str | None:
            return _outside_bracket(state, first, _read(door, state))

        wait_until(outside, where=door.front_door, limit_seconds=SETTLE_LIMIT_SECONDS)


def _outside_bracket(state: redis.Redis, first: Reading, second: Reading) -> str | None:
    """What moved by too little or too much between two readings; None when all counters fit."""
    orders = [entry for entry, _ in entries(state, ORDERS, first.orders_before)]
    fills = [fill.entry for fill in fills_after(state, first.fills_before)]
    for name, moved, least, most in (
        (
            "orders accepted by the api",
            second.accepted - first.accepted,
            _between(orders, first.orders_after, second.orders_before),
            _between(orders, first.orders_before, second.orders_after),
        ),
        (
            "orders handled by the workers",
            second.handled - first.handled,
            _between(fills, first.fills_after, second.fills_before),
            _between(fills, first.fills_before, second.fills_after),
        ),
    ):
        if not least <= moved <= most:
            return f"{name}: expected {least} to {most}, counters moved by {moved:g}"
        if moved < TRADES:
            return f"{name}: {TRADES} were sent, counters moved by {moved:g}"
    return None


def _read(door: FrontDoor, state: redis.Redis) -> Reading:
    before = moment(state)
    accepted = _sum(_samples(door.instances("api")), "http_requests_total", _is_accepted_order)
    workers = list(_samples(door.instances("workers")))
    handled = _sum(workers, "orders_filled_total") + _sum(workers, "orders_rejected_total")
    after = moment(state)
    return Reading(accepted, handled, before.orders, after.orders, before.fills, after.fills)


def _samples(instances: Iterable[Instance]) -> Iterator[Sample]:
    for instance in instances:
        with httpx.Client(
            base_url=f"http://{instance.address}",
            timeout=SCRAPE_LIMIT_SECONDS,
            trust_env=False,
            verify=trusted(),
        ) as client:
            text = request(client, "GET", "/metrics", 200).text
        for family in text_string_to_metric_families(text):
            yield from family.samples


def _sum(samples: Iterable[Sample], name: str, counts: Callable[[Sample], bool] = lambda _: True) -> float:
    return sum(sample.value for sample in samples if sample.name == name and counts(sample))


def _is_accepted_order(sample: Sample) -> bool:
    labels = sample.labels
    return (labels.get("method"), labels.get("route"), labels.get("code")) == ("POST", "/api/orders", "202")


def _between(ids: Iterable[str], after: str, until: str) -> int:
    return sum(position(after) < position(entry) <= position(until) for entry in ids)
