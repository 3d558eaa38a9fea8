"""Redis state persists across worker replicas (plan 3.2), also when one of them is killed.

Every replica's answer has to be the fold of the journal at the moment it was asked (see `journal`), which
is stronger
than replicas being equal to each other and needs no pause of the traffic.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import redis

from roundtrip.errors import SmokeError
from roundtrip.smoke.door import FrontDoor, Instance, json_of, request, require, wait_until
from roundtrip.smoke.journal import Moment, fills_after, is_some_prefix, moment, shown_of
from roundtrip.smoke.trading import make_trades, place, require_exact_move, require_filled_once, wait_filled
from roundtrip.tls import trusted

AGREE_LIMIT_SECONDS = 15.0
RETURN_LIMIT_SECONDS = 60.0
HEALTH_LIMIT_SECONDS = 2.0
CLAIM_LIMIT_SECONDS = 120.0
"""an order that the killed replica had in hand waits until another may claim it"""
BATCH = 10


def state_across_replicas(door: FrontDoor) -> None:
    """Every worker replica shows the same state, the one in Redis."""
    replicas = door.instances("workers")
    require(
        len(replicas) >= 2, f"workers: expected at least 2 replicas, got {len(replicas)}", door.front_door
    )
    with door.redis() as state:
        for replica in replicas:
            require_agrees(state, replica)


def state_survives_a_replica(door: FrontDoor) -> None:
    """One replica is killed under orders: no order is lost or counted twice, and the one that replaces it
    agrees."""
    victim = door.instances("workers")[0]
    with door.redis() as state, door.client() as client:
        before = moment(state)
        trades = make_trades(3 * BATCH)
        place(client, trades[:BATCH])
        door.kill(victim.address)
        place(client, trades[BATCH : 2 * BATCH])
        _wait_all_healthy(door)
        place(client, trades[2 * BATCH :])
        wait_filled(door, state, trades, before, limit_seconds=CLAIM_LIMIT_SECONDS)
        require_filled_once(door, state, trades, before)
        require_exact_move(door, state, before)
        for replica in door.instances("workers"):
            require_agrees(state, replica)


def require_agrees(state: redis.Redis, replica: Instance) -> None:
    """The replica's /risk is what Redis held at that moment. Raises SmokeError after AGREE_LIMIT_SECONDS."""
    base_url = f"http://{replica.address}"
    with httpx.Client(
        base_url=base_url, timeout=AGREE_LIMIT_SECONDS, trust_env=False, verify=trusted()
    ) as client:

        def disagrees() -> str | None:
            before = moment(state)
            shown = json_of(request(client, "GET", "/risk", 200))
            if _is_of_this_moment(state, before, shown):
                return None
            return f"shows {shown}, Redis has {shown_of(before.exposure)}"

        wait_until(disagrees, where=f"{base_url}/risk", limit_seconds=AGREE_LIMIT_SECONDS)


def _is_of_this_moment(state: redis.Redis, before: Moment, shown: Any) -> bool:
    try:
        exposure = {symbol: Decimal(str(value)) for symbol, value in shown["exposure"].items()}
        kill_switch = shown["kill_switch"]
    except (KeyError, AttributeError, TypeError) as error:
        raise SmokeError(
            f"expected exposure and kill_switch, got {shown}",
            where="/risk",
            remedy="look at the workers' log",
        ) from error
    since = fills_after(state, before.fills)
    is_on = state.get("risk:kill_switch") == "1"
    return is_some_prefix(exposure, before.exposure, since) and kill_switch is is_on


def _wait_all_healthy(door: FrontDoor) -> None:
    def unhealthy() -> str | None:
        for replica in door.instances("workers"):
            try:
                answer = httpx.get(
                    f"http://{replica.address}/healthz",
                    timeout=HEALTH_LIMIT_SECONDS,
                    trust_env=False,
                    verify=trusted(),
                )
            except httpx.HTTPError as error:
                return f"{replica.address}: {error}"
            if answer.status_code != 200:
                return f"{replica.address}: {answer.status_code}"
        return None

    wait_until(unhealthy, where=door.front_door, limit_seconds=RETURN_LIMIT_SECONDS)
