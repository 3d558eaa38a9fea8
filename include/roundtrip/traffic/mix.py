"""What the clients of the platform ask for, drawn from a seed.

Rules:
1. The same seed and run draw the same requests at the same distances; nothing here looks at a clock.
2. Arrivals are open: the distance to the next request does not depend on how fast the last one was answered.
3. An order id is drawn once; a later run of the same state folder has another run number and so other ids.
4. What a route may answer is written here. Every other answer is a failed request, a 404 of the proxy
   included.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from roundtrip.errors import PlanError

SYMBOLS: Mapping[str, float] = {"BTC-USD": 100.0, "ETH-USD": 50.0, "SOL-USD": 20.0}
"""symbol -> price around which orders are placed, in quote currency"""

SHARES: Mapping[str, int] = {"place order": 35, "positions": 20, "risk": 15, "home": 20, "read order": 10}
"""route -> share of the requests, in percent"""

EXPECTED: Mapping[str, frozenset[int]] = {
    "place order": frozenset({202}),
    "positions": frozenset({200}),
    "risk": frozenset({200}),
    "home": frozenset({200}),
    "read order": frozenset(
        {200, 404}
    ),  # 404 while no worker has seen the order yet; it has to be the api's own, in JSON
}
"""route -> statuses that are an answer"""

SERVICES: Mapping[str, str] = {
    "place order": "api",
    "positions": "api",
    "risk": "api",
    "home": "ops-ui",
    "read order": "api",
}
"""route -> the service that answers it"""

ORDERS = "place order"
"""the route whose requests become what a service takes from a queue"""

PATHS: Mapping[str, str] = {
    "positions": "/api/positions",
    "risk": "/api/risk",
    "home": "/",
    "place order": "/api/orders",
}


CLIENTS = 32
FRESH_PERCENT = 75.0
"""share of the requests that come without cookies; the others stay with the version that answered their client first"""


@dataclass(frozen=True)
class Order:
    """One order, as it was sent."""

    id: str
    symbol: str
    side: str
    """buy or sell"""
    quantity: float
    price: float

    def body(self) -> dict[str, Any]:
        """The body of POST /api/orders."""
        return {
            "order_id": self.id,
            "symbol": self.symbol,
            "side": self.side,
            "quantity": self.quantity,
            "price": self.price,
        }


@dataclass(frozen=True)
class Planned:
    """One request that is due."""

    route: str
    """a key of SHARES"""
    client: int | None
    """number of the logical client whose cookies it carries; None: a fresh one without cookies"""
    order: Order | None
    """only for the route 'place order'"""


class Mix:
    """Draws requests and the distances between them."""

    def __init__(
        self, *, seed: int, run: int, requests_per_second: float, clients: int, fresh_percent: float
    ) -> None:
        if not requests_per_second > 0:
            raise PlanError(
                f"requests per second: expected more than 0, got {requests_per_second}",
                where="traffic",
                remedy="set traffic.requests_per_second in the environment",
            )
        if clients < 1 or not 0 <= fresh_percent <= 100:
            raise PlanError(
                f"clients: expected at least 1, got {clients}; "
                f"fresh_percent: expected 0 to 100, got {fresh_percent}",
                where="traffic",
                remedy="mend the options of the traffic generator",
            )
        self._random = Random(f"{seed}/{run}")
        self.requests_per_second = requests_per_second
        self._clients = clients
        self._fresh_percent = fresh_percent

    def gap_seconds(self) -> float:
        """Distance from one request to the next: exponential, so that arrivals are Poisson."""
        return self._random.expovariate(1.0) / self.requests_per_second

    def draw(self) -> Planned:
        """The next request."""
        route = self._random.choices(list(SHARES), weights=list(SHARES.values()))[0]
        fresh = self._random.uniform(0, 100) < self._fresh_percent
        client = None if fresh else self._random.randrange(self._clients)
        return Planned(route, client, self._order() if route == "place order" else None)

    def pick(self, ids: list[str]) -> str:
        """One of the orders that were accepted lately, or an id nobody has placed while there is none."""
        return self._random.choice(ids) if ids else self._id()

    def _order(self) -> Order:
        symbol = self._random.choice(list(SYMBOLS))
        return Order(
            id=self._id(),
            symbol=symbol,
            side=self._random.choice(("buy", "sell")),
            # two decimals each, so that exposures stay exact to four
            quantity=self._random.randint(1, 50) / 100,
            price=round(SYMBOLS[symbol] * self._random.uniform(0.98, 1.02), 2),
        )

    def _id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))


def share_of(service: str, *, is_queue: bool) -> float:
    """Share of the requests that a service answers; of one that works off a queue, that become its orders."""
    return sum(SHARES[r] for r, by in SERVICES.items() if (r == ORDERS if is_queue else by == service)) / 100


def is_answer(route: str, status: int, content_type: str) -> bool:
    """True when this is what the route may say to a client."""
    if status not in EXPECTED[route]:
        return False
    return status != 404 or content_type.startswith("application/json")
