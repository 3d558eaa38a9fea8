"""After a rollback the workers of 1.0.0 have the exposures, the PnL and the kill switch that those of 1.1.0 had.

Real worker processes of both versions on a real Redis; the keys of 1.1.0 are taken back by the product's own functions, with
the rules of the plan. What is right is told by an account that this test keeps of the orders it sent.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from roundtrip.plan.loading import load_plan
from roundtrip.rollback.copying import copy_aside
from roundtrip.rollback.removing import remove
from roundtrip.rollout import redis_state
from roundtrip.rollout.aside import Header
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
PLATFORM = ROOT / "include" / "platform"
PLAN = load_plan(ROOT / "include" / "plans" / "top_tier_trading_1_1_0.yaml")
HEADER = Header("r", "e", "2026-01-01T00:00:00+00:00", "2026-01-08T00:00:00+00:00")
SEED = 20261124
LIMIT_SECONDS = 120
SYMBOLS = ("BTC-USD", "ETH-USD", "SOL-USD")
SHOWN_PLACES = 8


@dataclass
class Account:
    """Every order sent, and what has to come of it: counted once, apart from the platform."""

    client: redis.Redis
    draw: random.Random
    exposure: dict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    statuses: dict[str, str] = field(default_factory=dict)
    """by order id: filled or rejected"""
    is_kill_switch_on: bool = False

    def place(self, count: int, between: Callable[[int], None] = lambda _: None) -> None:
        """Send orders, with amounts that binary fractions cannot hold; each is right for the switch as it is now."""
        for number in range(count):
            order_id, symbol = f"order-{len(self.statuses)}", self.draw.choice(SYMBOLS)
            quantity = Decimal(self.draw.randrange(1, 10_000_000)) / 100_000
            price = Decimal(self.draw.randrange(100, 6_000_000)) / 100
            side = self.draw.choice(["buy", "sell"])
            fields = {"symbol": symbol, "side": side, "quantity": str(quantity), "price": str(price)}
            self.client.xadd("orders", {"order_id": order_id, **fields, "at": "2026-01-01T00:00:00Z"})
            self.statuses[order_id] = "rejected" if self.is_kill_switch_on else "filled"
            if not self.is_kill_switch_on:
                self.exposure[symbol] += quantity * price * (1 if side == "buy" else -1)
            between(number)

    def switch(self, *, on: bool) -> None:
        self.client.xadd("control", {"kill_switch": "1" if on else "0", "at": "2026-01-01T00:00:00Z"})
        self.is_kill_switch_on = on

    def risk(self) -> dict[str, object]:
        """What `/risk` has to show."""
        pnl = -sum(self.exposure.values(), Decimal(0))
        return {
            "exposure": {s: float(round(v, SHOWN_PLACES)) for s, v in sorted(self.exposure.items())},
            "pnl": float(round(pnl, SHOWN_PLACES)),
            "kill_switch": self.is_kill_switch_on,
        }

    def require_settled(self) -> None:
        """Returns once nothing is left to do; then every order was journalled once, as it has to be."""
        _wait(lambda: self.client.xlen("fills") >= len(self.statuses) and not self._pending())
        entries: Any = self.client.xrange("fills")
        journalled = [(e[b"order_id"].decode(), e[b"status"].decode()) for _, e in entries]
        assert sorted(journalled) == sorted(self.statuses.items())

    def _pending(self) -> int:
        summary: Any = self.client.xpending("orders", "workers")
        return int(summary["pending"])


@dataclass(frozen=True)
class Worker:
    """A worker process."""

    process: subprocess.Popen[bytes]
    address: str

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/healthz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def risk(self) -> Any:
        return httpx.get(f"{self.address}/risk", timeout=30, trust_env=False).json()

    def version(self) -> str:
        answer = httpx.get(f"{self.address}/healthz", timeout=30, trust_env=False).json()
        return str(answer["version"])

    def drain(self) -> None:
        self.process.terminate()
        assert self.process.wait(LIMIT_SECONDS) == 0


@contextmanager
def workers(sources: Path, redis_url: str, count: int) -> Iterator[list[Worker]]:
    started = []
    for _ in range(count):
        port = free_port()
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(sources), "PORT": str(port)}
        variables |= {"DEPLOY_ENV": "test", "EXPOSURE_LIMIT": "1000000000000", "REDIS_URL": redis_url}
        command = [sys.executable, "-m", "workers"]
        process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
        started.append(Worker(process, f"http://127.0.0.1:{port}"))
    try:
        _wait(lambda: all(worker.is_ready() for worker in started))
        yield started
    finally:
        for worker in started:
            worker.process.kill()
            worker.process.wait(10)


@pytest.fixture
def new_sources(tmp_path: Path) -> Path:
    """1.1.0 of the workers: its files laid over those of 1.0.0."""
    for version in ("base", "upgrade-1.1.0"):
        shutil.copytree(PLATFORM / version / "workers", tmp_path / "workers", dirs_exist_ok=True)
    return tmp_path / "workers" / "src"


@pytest.mark.integration
def test_the_stable_version_has_what_the_new_one_had_and_no_order_is_lost_or_counted_twice(
    redis_client: redis.Redis, redis_server: str, new_sources: Path, tmp_path: Path
) -> None:
    draw = random.Random(SEED)  # noqa: S311 - seeded orders, and the moment of a kill
    account, url = Account(redis_client, draw), f"{redis_server}/9"
    with workers(PLATFORM / "base" / "workers" / "src", url, 1) as [before]:
        account.place(50)
        account.require_settled()
        assert before.risk() == account.risk()
        known = redis_state.record(redis_client)
        before.drain()

    with workers(new_sources, url, 3) as running:
        assert [worker.version() for worker in running] == ["1.1.0"] * 3
        doomed, at = draw.choice(running), draw.randrange(50, 250)
        account.place(300, lambda number: doomed.process.kill() if number == at else None)
        account.require_settled()
        account.switch(on=True)
        account.place(20)
        account.require_settled()
        left = [worker for worker in running if worker is not doomed]
        shown = [worker.risk() for worker in left]
        assert shown == [account.risk()] * 2
        account.place(50)  # some of them are in flight while the new version goes
        left[0].process.kill()
        left[1].drain()

    assert redis_client.exists("risk:exposure", "risk:pnl", "risk:kill_switch") == 3
    copied = copy_aside(redis_client, PLAN.rollback.state, known, copy := tmp_path / "copy", HEADER)
    assert remove(redis_client, copy) == copied.keys >= 6
    assert set(redis_client.keys()) == {b"orders", b"fills", b"control"}

    with workers(PLATFORM / "base" / "workers" / "src", url, 1) as [stable]:
        assert stable.version() == "1.0.0"
        account.require_settled()
        assert stable.risk() == account.risk() == shown[0]
        account.switch(on=False)
        account.place(20)
        account.require_settled()
        assert stable.risk() == account.risk()


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {LIMIT_SECONDS} s"
        time.sleep(0.02)
