"""What has to be true of a release that has ended, whatever died on its way. Imports nothing of the product.

1. It has ended, with one of the four outcomes; the run is green for PROMOTED and for nothing else.
2. One complete version serves: the new one when promoted, else the stable one. No process of the other is left.
3. No order that a client was told is accepted is lost; none is filled twice; none is in the journal that nobody sent so.
4. Exposure is what the journal adds up to, to the cent; a kill switch that was switched on is on.
5. Taken back, no key is left that only the new version knows.
6. The ledger's chain is whole, and its last word is the outcome. After the way back has begun nothing went forward.
7. Clients that were not in the fault's way saw no failure.
8. BROKEN, where a fault may have that, is loud: it says what serves, what was tried and what to type. Once the fault is
   gone, that command leads to an end for which 1 to 6 hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.chaos import observer
from tests.chaos.observer import Account

STABLE, NEW = "1.0.0", "1.1.0"
REPLICAS = {
    STABLE: {"api": 1, "workers": 1, "backtester": 1, "ops-ui": 1},
    NEW: {"api": 1, "workers": 3, "backtester": 1, "ops-ui": 1},
}
OUTCOMES = {"PROMOTED": NEW, "ROLLED BACK": STABLE, "STOPPED": STABLE}
FORWARD = ("production.", "gate ")
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Seen:
    """What was seen of one release when it had ended."""

    outcome: str | None
    run: str
    """its state in Airflow"""
    events: Sequence[Mapping[str, Any]]
    account: Account
    is_harmful: bool
    fails_clients: bool


Running = Callable[[], Mapping[tuple[str, str], int]]
"""How often each service runs, by service and version."""


def violations(seen: Seen, front_door: str, redis_url: str, running: Running, ledger: Path) -> Iterator[str]:
    """Each as a sentence; none: all hold."""
    yield from _ended(seen)
    version = OUTCOMES.get(seen.outcome or "")
    if version is None:
        yield f"expected an outcome that leaves one version, got {seen.outcome}"
        return
    if seen.is_harmful and version == NEW:
        yield "a version that tripped the kill switch was promoted"
    yield from _serving(version, front_door, running)
    yield from _orders(seen, front_door, redis_url)
    if version == STABLE and (left := observer.keys(redis_url, "risk:*")):
        yield f"keys of the new version are left: {left}"
    yield from _told(seen, ledger)
    if seen.account.failures and not seen.fails_clients:
        yield f"{len(seen.account.failures)} requests failed: {seen.account.failures[:5]}"


def quiet(events: Sequence[Mapping[str, Any]], release: str) -> Iterator[str]:
    """What the newest outcome, which is BROKEN, does not say."""
    said = observer.last(events, "release.outcome")
    left = said.get("left", {})
    for name in ("serves", "tried"):
        if not left.get(name):
            yield f"BROKEN, and says nothing of {name}"
    if left.get("next") != f"./roundtrip rollback {release}":
        yield f"BROKEN, and says to type {left.get('next')}"


def _ended(seen: Seen) -> Iterator[str]:
    if seen.outcome is None:
        yield "it has not ended"
    elif (seen.run == "success") != (seen.outcome == "PROMOTED"):
        yield f"the run is {seen.run}, and the outcome {seen.outcome}"


def _serving(version: str, front_door: str, running: Running) -> Iterator[str]:
    for page, versions in observer.served_versions(front_door).items():
        if versions != {version}:
            yield f"{page} is served by {sorted(versions)}, expected {version}"
    there = running()
    expected = {(service, version): count for service, count in REPLICAS[version].items()}
    if there != expected:
        yield f"running are {there}, expected {expected}"


def _orders(seen: Seen, front_door: str, redis_url: str) -> Iterator[str]:
    account = seen.account
    fills = observer.settled(redis_url, set(account.accepted))
    by_order = {fill.order: fill for fill in fills}
    lost = [order for order in account.accepted if order not in by_order]
    if lost:
        yield f"{len(lost)} of {len(account.accepted)} accepted orders are lost: {lost[:3]}"
    if twice := observer.twice_filled(fills):
        yield f"{len(twice)} orders are filled twice: {twice[:3]}"
    other = [
        order
        for order, sent in account.accepted.items()
        if (fill := by_order.get(order)) and (fill.symbol, fill.side, fill.quantity, fill.price) != sent
    ]
    if other:
        yield f"{len(other)} orders are in the journal as nobody sent them: {other[:3]}"
    told = observer.risk(front_door)
    for symbol, exposure in observer.account_of(observer.journal(redis_url)).items():
        shown = Decimal(str(observer.risk(front_door)["exposure"].get(symbol, 0)))
        if abs(shown - exposure) >= CENT and not _is_still_moving(symbol, front_door, redis_url):
            yield f"exposure of {symbol} is {shown}, the journal adds up to {exposure}"
    if seen.is_harmful and told["kill_switch"] is not True:
        yield "the kill switch was switched on, and is off"


def _is_still_moving(symbol: str, front_door: str, redis_url: str) -> bool:
    """Clients go on, so the page and the journal are of two moments; they agree in one of some looks."""
    for _ in range(observer.LOOKS):
        before = observer.account_of(observer.journal(redis_url)).get(symbol, Decimal(0))
        shown = Decimal(str(observer.risk(front_door)["exposure"].get(symbol, 0)))
        after = observer.account_of(observer.journal(redis_url)).get(symbol, Decimal(0))
        if min(abs(shown - before), abs(shown - after)) < CENT:
            return True
    return False


def _told(seen: Seen, ledger: Path) -> Iterator[str]:
    if broken := observer.broken_chain(ledger):
        yield f"the ledger's chain is broken at {broken}"
    back = next((e["seq"] for e in seen.events if e["kind"] in ("rollback.begun", "watchdog.lapsed")), None)
    if back is None:
        return
    forward = [
        e["data"]["holder"]
        for e in seen.events
        if e["kind"] == "token.taken" and e["seq"] > back and e["data"]["holder"].startswith(FORWARD)
    ]
    if forward:
        yield f"went forward after it began to go back: {forward}"
