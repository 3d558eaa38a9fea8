"""What a client, and somebody with access to the machine, sees of the platform. Imports nothing of the product.

It sends orders of its own through the front door, keeps their account, and reads Redis, processes, containers and the ledger's
file as they are.
"""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import threading
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import docker
import httpx
import psutil
import redis

PAUSE_SECONDS = 0.1
TIMEOUT_SECONDS = 10.0
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
SETTLED_LIMIT_SECONDS = 30.0
LOOKS = 20


@dataclass
class Account:
    """What was sent, and what became of it as far as a client knows."""

    accepted: dict[str, tuple[str, str, Decimal, Decimal]] = field(default_factory=dict)
    """order id -> symbol, side, quantity, price"""
    unknown: set[str] = field(default_factory=set)
    """sent, and answered with something else than 202, or not at all"""
    failures: list[tuple[float, str]] = field(default_factory=list)
    """when, and what was answered"""
    requests: int = 0


class Client:
    """Places an order and looks at the risk page, ten times a second, until it is stopped."""

    def __init__(self, front_door: str, seed: int) -> None:
        self.account = Account()
        self._front_door = front_door
        self._dice = random.Random(seed)  # noqa: S311 - a seed has to give the same orders again
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        with httpx.Client(base_url=self._front_door, timeout=TIMEOUT_SECONDS, trust_env=False) as http:
            while not self._over.wait(PAUSE_SECONDS):
                self._order(http)
                self._look(http)

    def _order(self, http: httpx.Client) -> None:
        order = str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        symbol, side = self._dice.choice(SYMBOLS), self._dice.choice(("buy", "sell"))
        quantity, price = Decimal(self._dice.randint(1, 400)) / 4, Decimal(self._dice.randint(400, 4000)) / 4
        body = {"order_id": order, "symbol": symbol, "side": side}
        body |= {"quantity": float(quantity), "price": float(price)}
        answer = self._asked(lambda: http.post("/api/orders", json=body))
        if answer == "202":
            self.account.accepted[order] = (symbol, side, quantity, price)
        else:
            self.account.unknown.add(order)

    def _look(self, http: httpx.Client) -> None:
        self._asked(lambda: http.get("/api/risk"))

    def _asked(self, ask: Any) -> str:
        self.account.requests += 1
        try:
            answer = str(ask().status_code)
        except httpx.HTTPError as error:
            answer = type(error).__name__
        if answer not in ("200", "202"):
            self.account.failures.append((time.time(), answer))
        return answer


@dataclass(frozen=True)
class Fill:
    """One entry of the platform's journal."""

    order: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    status: str


def journal(url: str) -> list[Fill]:
    """The fills, the oldest first."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return [
            Fill(
                entry["order_id"],
                entry["symbol"],
                entry["side"],
                Decimal(entry["quantity"]),
                Decimal(entry["price"]),
                entry["status"],
            )
            for _, entry in client.xrange("fills")
        ]


def settled(url: str, orders: set[str]) -> list[Fill]:
    """The journal once every one of `orders` is in it, or after a while."""
    deadline = time.monotonic() + SETTLED_LIMIT_SECONDS
    while True:
        fills = journal(url)
        if orders <= {fill.order for fill in fills} or time.monotonic() > deadline:
            return fills
        time.sleep(PAUSE_SECONDS)


def account_of(fills: list[Fill]) -> dict[str, Decimal]:
    """Exposure by symbol, from the journal alone: signed quantity × price, of each order once."""
    exposure: dict[str, Decimal] = defaultdict(Decimal)
    counted: set[str] = set()
    for fill in fills:
        if fill.status == "filled" and fill.order not in counted:
            counted.add(fill.order)
            sign = 1 if fill.side == "buy" else -1
            exposure[fill.symbol] += sign * fill.quantity * fill.price
    return dict(exposure)


def twice_filled(fills: list[Fill]) -> list[str]:
    """Orders with more than one `filled`."""
    counts = Counter(fill.order for fill in fills if fill.status == "filled")
    return sorted(order for order, count in counts.items() if count > 1)


def risk(front_door: str) -> Mapping[str, Any]:
    """What the platform says of exposure and kill switch."""
    answer = httpx.get(f"{front_door}/api/risk", timeout=TIMEOUT_SECONDS, trust_env=False)
    answer.raise_for_status()
    body: dict[str, Any] = answer.json()
    return body


def kill_switch(front_door: str, *, on: bool) -> None:
    """Switch it, also when nobody answers at this moment. Raises httpx.HTTPError when nobody does for a while."""
    deadline = time.monotonic() + SETTLED_LIMIT_SECONDS
    while True:
        try:
            httpx.post(
                f"{front_door}/api/kill-switch", json={"on": on}, timeout=TIMEOUT_SECONDS, trust_env=False
            ).raise_for_status()
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def served_versions(front_door: str) -> dict[str, set[str]]:
    """Versions by page that new clients are answered by."""
    seen: dict[str, set[str]] = {"/": set(), "/api/risk": set()}
    for page, versions in seen.items():
        for _ in range(LOOKS):
            answer = httpx.get(front_door + page, timeout=TIMEOUT_SECONDS, trust_env=False)
            versions.add(answer.headers.get("X-Version", f"none, {answer.status_code}"))
    return seen


def running(environment: Path) -> dict[tuple[str, str], int]:
    """Processes of the platform by service and version, from the bundles that they were started in."""
    found: Counter[tuple[str, str]] = Counter()
    for process in psutil.process_iter():
        try:
            folder = Path(process.cwd())
            is_child = _cwd(process.parent()) == folder
        except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            continue
        manifest = next(
            (one / "bundle.json" for one in (folder, *folder.parents) if (one / "bundle.json").is_file()),
            None,
        )
        if manifest is None or environment not in manifest.parents or is_child:
            continue
        about = json.loads(manifest.read_text(encoding="utf-8"))
        found[about["service"], about["version"]] += 1
    return dict(found)


def _cwd(process: psutil.Process | None) -> Path | None:
    return Path(process.cwd()) if process is not None else None


def running_containers(engine: str, network: str) -> dict[tuple[str, str], int]:
    """Containers of the platform in this network by service and version, as their images are labelled (OCI, annotations.md).

    One that is there and does not run is of no version: its state is told beside it.
    """
    found: Counter[tuple[str, str]] = Counter()
    with closing(docker.DockerClient(base_url=engine)) as client:
        for container in client.api.containers(all=True, filters={"network": network}):
            service, version = (
                container["Labels"].get(f"org.opencontainers.image.{name}") for name in ("title", "version")
            )
            if service and version:
                state = container["State"]
                found[service, version if state == "running" else f"{version}, {state}"] += 1
    return dict(found)


def events(ledger: Path, release: str, *, after: int = 0) -> list[dict[str, Any]]:
    """A release's events as they are in the file. Raises sqlite3.OperationalError while a full disk keeps it from being read."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=60)) as connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT seq, at, kind, key, data FROM roundtrip_events WHERE release = ? AND seq > ? ORDER BY seq",
            (release, after),
        ).fetchall()
    return [{**dict(row), "data": json.loads(row["data"])} for row in rows]


def coming(ledger: Path, release: str, *, limit_seconds: float) -> Iterator[dict[str, Any]]:
    """A release's events, from the first on, as they come."""
    seen, deadline = 0, time.monotonic() + limit_seconds
    while time.monotonic() < deadline:
        # Where the disk is full not even a reader can begin; it is the same for the product.
        with suppress(sqlite3.OperationalError):
            for event in events(ledger, release, after=seen):
                seen = event["seq"]
                yield event
        time.sleep(PAUSE_SECONDS)


def last(events: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """The data of the newest of these events that is of this kind."""
    data: Mapping[str, Any] = next(event["data"] for event in reversed(events) if event["kind"] == kind)
    return data


def data_of(ledger: Path, release: str, kind: str) -> str:
    """The data of a release's first event of this kind, as it is stored."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=60)) as connection:
        query = "SELECT data FROM roundtrip_events WHERE release = ? AND kind = ? ORDER BY seq LIMIT 1"
        [data] = connection.execute(query, (release, kind)).fetchone()
    return str(data)


def broken_chain(ledger: Path) -> str:
    """The first event whose hash is not that of its columns and of the event before it; empty when all are."""
    query = (
        "SELECT seq, at, release, kind, key, actor, data, previous, hash FROM roundtrip_events ORDER BY seq"
    )
    previous, number = "0" * 64, 0
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=60)) as connection:
        for row in connection.execute(query):
            number += 1
            text = json.dumps(["roundtrip-ledger-1", *row[:-1]], separators=(",", ":"))
            if (
                row[0] != number
                or row[-2] != previous
                or hashlib.sha256(text.encode()).hexdigest() != row[-1]
            ):
                return f"event {row[0]}"
            previous = row[-1]
        head = connection.execute("SELECT seq, hash FROM roundtrip_head").fetchall()
    return "" if head == [(number, previous)] else f"head {head}"


def keys(url: str, pattern: str) -> list[str]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return sorted(client.scan_iter(match=pattern, count=1000))
