"""The observer sees what it is there to see: each invariant is shown to be breakable."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import textwrap
from decimal import Decimal
from pathlib import Path

import pytest
import redis

from roundtrip.ledger.ledger import Ledger
from tests.chaos import invariants, observer
from tests.chaos.campaign import Drawn
from tests.chaos.invariants import Seen
from tests.chaos.kinds import KINDS
from tests.chaos.moments import MOMENTS
from tests.chaos.observer import Account, Fill


def fill(order: str, status: str = "filled", **changes: object) -> Fill:
    fields = {
        "symbol": "BTC-USD",
        "side": "buy",
        "quantity": Decimal("0.5"),
        "price": Decimal(100),
        **changes,
    }
    return Fill(order, status=status, **fields)  # type: ignore[arg-type]


def test_the_account_counts_an_order_once_and_a_rejected_one_never() -> None:
    fills = [fill("a"), fill("a"), fill("b", side="sell", quantity=Decimal(2)), fill("c", "rejected")]
    assert observer.account_of(fills) == {"BTC-USD": Decimal(-150)}
    assert observer.twice_filled(fills) == ["a"]


def test_the_journal_is_read_as_the_workers_write_it(redis_server: str, redis_client: redis.Redis) -> None:
    entry = {"order_id": "a", "symbol": "BTC-USD", "side": "buy", "quantity": "0.5", "price": "100.25"}
    redis_client.xadd("fills", {**entry, "status": "filled", "reason": "", "version": "1.0.0", "at": "1"})
    assert observer.journal(f"{redis_server}/9") == [fill("a", price=Decimal("100.25"))]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    for number in range(5):
        made.append("r", "kind", {"number": number, "text": "ü"})
    return tmp_path / "ledger.db"


def test_a_whole_chain_is_whole_by_an_account_of_its_own(ledger: Path) -> None:
    assert observer.broken_chain(ledger) == ""
    assert [event["data"]["number"] for event in observer.events(ledger, "r", after=2)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ("UPDATE roundtrip_events SET data = '{}' WHERE seq = 3", "event 3"),
        ("UPDATE roundtrip_events SET at = '2026' WHERE seq = 1", "event 1"),
        ("DELETE FROM roundtrip_events WHERE seq = 2", "event 3"),
        ("DELETE FROM roundtrip_events WHERE seq = 5", "head"),
    ],
)
def test_a_changed_chain_is_not(ledger: Path, change: str, where: str) -> None:
    with sqlite3.connect(ledger) as connection:
        connection.execute(change)
    assert observer.broken_chain(ledger).startswith(where)


def test_processes_are_counted_by_the_bundle_that_they_were_started_in(tmp_path: Path) -> None:
    folders = []
    for version in ("1.0.0", "1.1.0"):
        folder = tmp_path / "environment" / "bundles" / version
        folder.mkdir(parents=True)
        (folder / "bundle.json").write_text(f'{{"service": "api", "version": "{version}"}}')
        folders.append(folder)
    elsewhere = tmp_path / "other"
    shutil.copytree(folders[0], elsewhere)
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    processes = [
        subprocess.Popen(waits, cwd=folder, stdin=subprocess.PIPE)
        for folder in (*folders, folders[1], elsewhere)
    ]
    try:
        seen = observer.running(tmp_path / "environment")
    finally:
        for process in processes:
            process.communicate()
    assert seen == {("api", "1.0.0"): 1, ("api", "1.1.0"): 2}


def test_neither_the_observer_nor_the_invariants_share_code_with_the_product() -> None:
    """Imported in a process of their own, they bring no module of it."""
    code = """
        import sys
        import tests.chaos.invariants, tests.chaos.observer
        print(*sorted(name for name in sys.modules if name.split(".")[0] == "roundtrip"), end="")
    """
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def seen(outcome: str | None, run: str, **changes: object) -> Seen:
    fields = {
        "events": [],
        "account": Account(),
        "is_harmful": False,
        "fails_clients": False,
        **changes,
    }
    return Seen(outcome, run, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "run"),
    [(None, "running"), ("PROMOTED", "failed"), ("ROLLED BACK", "success"), ("BROKEN", "success")],
)
def test_a_run_whose_colour_is_not_true_is_found(outcome: str | None, run: str) -> None:
    assert list(invariants._ended(seen(outcome, run)))


def test_going_forward_after_the_way_back_began_is_found(ledger: Path) -> None:
    events = [
        {"seq": 1, "kind": "rollback.begun", "data": {}},
        {"seq": 2, "kind": "token.taken", "data": {"holder": "rollback.begin"}},
        {"seq": 3, "kind": "token.taken", "data": {"holder": "production.wave_2"}},
    ]
    assert list(invariants._told(seen("ROLLED BACK", "failed", events=events), ledger)) == [
        "went forward after it began to go back: ['production.wave_2']"
    ]
    assert list(invariants._told(seen("ROLLED BACK", "failed", events=events[:2]), ledger)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_always_stands_for_the_same_and_some_hundreds_of_them_for_everything(kind: str) -> None:
    faults, seeds = KINDS[kind].faults, range(300)
    drawn = [Drawn.of(seed, faults) for seed in seeds]
    assert [str(one) for one in drawn] == [str(Drawn.of(seed, faults)) for seed in seeds]
    assert {one.fault for one in drawn} == set(faults)
    assert {one.moment for one in drawn} == set(MOMENTS)
    assert all(one.is_harmful for one in drawn if one.moment.needs_harm)
    assert {one.is_harmful for one in drawn} == {True, False}
