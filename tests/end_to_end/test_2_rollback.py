"""`./roundtrip release --fault errors --fault-stage production`: found by its gate, taken back, the old state restored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import redis

from roundtrip.plan.deployment import Deployment
from tests.end_to_end.machine import Ended, EndToEnd

pytestmark = pytest.mark.end_to_end


@dataclass
class Before:
    """Production at the moment of its snapshot, read by this test and not by the product."""

    deployment: Deployment = field(default_factory=Deployment)
    keys: Mapping[bytes, tuple[bytes, object]] = field(default_factory=dict)
    pages: Mapping[str, int] = field(default_factory=dict)


@dataclass
class TakenBack:
    """What came of the release."""

    ended: Ended
    before: Before


@pytest.fixture(scope="module")
def taken_back(machine: EndToEnd) -> TakenBack:
    since, before = machine.newest(), Before()
    running = machine.start("release", "--fault", "errors", "--fault-stage", "production")
    snapshot = machine.wait_for(
        running,
        "production's snapshot",
        lambda e: e.kind == "snapshot.taken" and e.key == machine.name("production"),
        after=since,
    )
    if snapshot is not None:
        before = Before(machine.at("production"), _keys(machine), _pages(machine))
    return TakenBack(running.wait(), before)


def test_it_is_rolled_back_and_says_so_in_its_last_line(machine: EndToEnd, taken_back: TakenBack) -> None:
    assert taken_back.ended.code == 3
    assert taken_back.ended.last_line["outcome"] == "ROLLED BACK"
    assert "ROLLED BACK" in Path(taken_back.ended.last_line["dossier"]).read_text(encoding="utf-8")


def test_the_gate_of_a_wave_found_it_and_pulled_the_canary_itself(
    machine: EndToEnd, taken_back: TakenBack
) -> None:
    verdicts = {event.key: event.data["verdict"] for event in machine.events("gate.verdict")}
    assert verdicts["staging.canary"] == "PASS", "the fault does nothing in staging"
    failed = [key for key, verdict in verdicts.items() if verdict == "FAIL"]
    assert len(failed) == 1
    assert str(failed[0]).startswith("production.")
    pulled = machine.events("gate.pulled")
    assert [event.key for event in pulled] == failed
    begun = machine.events("rollback.begun")[0]
    assert pulled[0].seq < begun.seq, "the canary had no traffic any more before the rollback began"


def test_production_is_what_it_was(machine: EndToEnd, taken_back: TakenBack) -> None:
    assert taken_back.before.deployment.versions() == ("1.0.0",)
    assert machine.at("production") == taken_back.before.deployment
    assert _pages(machine) == taken_back.before.pages
    assert taken_back.before.pages["/"] == 200
    assert taken_back.before.pages["/backtest"] == 404


def test_redis_is_what_it_was_key_by_key_but_for_what_the_old_version_wrote_since(
    machine: EndToEnd, taken_back: TakenBack
) -> None:
    before, after = taken_back.before.keys, _keys(machine)
    assert b"orders" in before
    assert set(after) == set(before)
    for name, (kind, content) in before.items():
        now_kind, now = after[name]
        assert now_kind == kind, name
        if kind == b"stream":
            assert isinstance(now, list)
            assert isinstance(content, list)
            assert now[: len(content)] == content, f"{name!r}: what was in it before is changed"
        else:
            assert now == content, name


def test_clients_saw_no_failure_but_the_faults_own(machine: EndToEnd, taken_back: TakenBack) -> None:
    for event in machine.events("traffic.summary"):
        account = event.data
        assert account["incomplete"] is None, event.key
        assert set(account["failed_by_version"]) <= {"1.1.0"}, (event.key, account)
        reasons = {
            name for name in account["by_status"] if name.rpartition(" ")[2] not in ("200", "202", "404")
        }
        assert reasons <= {"place order 500"}, (event.key, account)
        if str(event.key).startswith(machine.name("staging")):
            assert account["failed"] == 0, (event.key, account)
    seen = [e.data["failed"] for e in machine.events("traffic.summary") if "production" in str(e.key)]
    assert sum(seen) > 0, "the fault never reached a client, so nothing was tested"


def test_main_is_again_what_runs(machine: EndToEnd, taken_back: TakenBack) -> None:
    assert machine.events("merge.done")
    assert machine.events("merge.reverted")


def _keys(machine: EndToEnd) -> dict[bytes, tuple[bytes, object]]:
    """Every key with its type and content."""
    with machine.redis("production") as client:
        return {name: (client.type(name), _content(client, name)) for name in client.scan_iter(count=1000)}


def _content(client: redis.Redis, name: bytes) -> object:
    return client.xrange(name) if client.type(name) == b"stream" else client.dump(name)


def _pages(machine: EndToEnd) -> dict[str, int]:
    """What the old UI answers where the new one has pages of its own, also to a browser with the new one's cookie."""
    door = machine.machine.target("production").addresses().front_door
    cookie = {"Cookie": "next-auth.session-token=left-over"}
    with httpx.Client(base_url=door, trust_env=False, headers=cookie) as client:
        return {path: client.get(path).status_code for path in ("/", "/backtest", "/api/auth/session")}
