"""The stable version does what it did: orders, positions, risk, UI (plan 4.2, after a rollback and before
a release)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import redis

from roundtrip.smoke.door import FrontDoor, json_of, request, require, wait_until
from roundtrip.smoke.journal import fills_after, fold, is_some_prefix, moment, position, shown_of
from roundtrip.smoke.trading import (
    FILL_LIMIT_SECONDS,
    FILLED,
    KILL_SWITCH,
    make_trades,
    place,
    require_filled_once,
    wait_filled,
)

TRADES = 10
AGREE_LIMIT_SECONDS = 20.0


def stable_smoke(door: FrontDoor) -> None:
    """Orders are filled once (with the kill switch on: rejected once), positions and risk are the fold of the whole journal, the page is served."""
    with door.redis() as state, door.client() as client:
        require(
            "html" in request(client, "GET", "/", 200).headers["content-type"],
            "/: expected a page",
            door.front_door,
        )
        before = moment(state)
        trades = make_trades(TRADES)
        # What trips a gate may be the kill switch itself. It stays on when the release is taken back, and to reject every
        # order is then what the stable version has to do. Somebody may switch it while this runs.
        switches = [_kill_switch(client, door)]
        place(client, trades)
        wait_filled(door, state, trades, before, limit_seconds=FILL_LIMIT_SECONDS)
        switches.append(_kill_switch(client, door))
        allowed = {KILL_SWITCH if is_on else FILLED for is_on in switches}
        require_filled_once(door, state, trades, before, allowed=allowed)
        for trade in trades:
            shown = json_of(request(client, "GET", f"/api/orders/{trade.id}", 200))
            require(
                shown.get("status") in {status for status, _ in allowed},
                f"order {trade.id}: expected {' or '.join(status for status, _ in sorted(allowed))}, got {shown}",
                door.front_door,
            )
        for path in ("/api/risk", "/api/positions"):
            _require_journal_shown(door, state, client, path)


def _kill_switch(client: httpx.Client, door: FrontDoor) -> bool:
    body = json_of(request(client, "GET", "/api/risk", 200))
    is_on = body.get("kill_switch")
    require(
        isinstance(is_on, bool),
        f"/api/risk: expected kill_switch true or false, got {is_on!r}",
        door.front_door,
    )
    return bool(is_on)


def _require_journal_shown(door: FrontDoor, state: redis.Redis, client: httpx.Client, path: str) -> None:
    """What `path` shows is the fold of the journal up to an entry of that moment."""

    def differs() -> str | None:
        newest = moment(state).fills
        shown = _exposure(json_of(request(client, "GET", path, 200)))
        journal = fills_after(state)
        known = [fill for fill in journal if position(fill.entry) <= position(newest)]
        since = journal[len(known) :]
        base = fold(known)
        if is_some_prefix(shown, base, since):
            return None
        return f"shows {shown_of(shown)}, the journal has {shown_of(base)}"

    wait_until(differs, where=f"{door.front_door}{path}", limit_seconds=AGREE_LIMIT_SECONDS)


def _exposure(body: Any) -> dict[str, Decimal]:
    """Exposure by symbol, from the body of /api/risk or /api/positions."""
    if "positions" in body:
        symbols = [entry["symbol"] for entry in body["positions"]]
        require(
            symbols == sorted(set(symbols)),
            f"positions: expected sorted by symbol, got {symbols}",
            "/api/positions",
        )
        return {entry["symbol"]: Decimal(str(entry["exposure"])) for entry in body["positions"]}
    return {symbol: Decimal(str(value)) for symbol, value in body["exposure"].items()}
