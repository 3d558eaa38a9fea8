"""The generator as a process, against a real server that a test bends."""

from __future__ import annotations

import json
import os
import signal
from datetime import UTC, datetime

import pytest

from roundtrip.traffic.account import TrafficAccount
from tests.traffic.bendable_api import BendableApi, HangingUp
from tests.traffic.conftest import Start, end, wait_for

pytestmark = pytest.mark.integration


def test_every_request_is_counted_once_and_every_accepted_order_is_in_the_account(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    process = start_traffic()
    wait_for(lambda: account.summary().sent >= 200, "200 requests sent")
    summary_line = json.loads(end(process))

    summary = account.summary()
    assert summary.is_clean
    assert summary.sent == summary.answered == summary_line["sent_total"]
    assert summary_line["ended"] is True
    placed = [p.order.id for p in account.orders()]
    assert set(placed) == set(api.orders), "the account and the server know the same orders"
    assert max(api.orders.values()) == 1, "no order was sent twice"
    assert summary.by_status["place order 202"] == len(placed)
    assert api.with_cookie > 0
    assert api.without_cookie > summary.sent * 0.3, "a share of the clients is fresh"


def test_what_a_client_saw_fail_is_failed_and_is_not_sent_again(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    api.fail_every = 5
    process = start_traffic()
    wait_for(lambda: account.summary().failed >= 5, "5 failed requests")
    end(process)

    summary = account.summary()
    assert summary.by_status["place order 500"] == summary.failed == len(api.orders) // 5
    assert max(api.orders.values()) == 1, "no order was sent twice"
    assert summary.first_failure_at == summary.failures[0].at
    uncertain = [p for p in account.orders(certain_only=False) if not p.certain]
    assert len(uncertain) == summary.failed
    assert not summary.is_clean


def test_a_late_answer_is_counted_as_slow_and_not_as_failed(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    api.version = "1.1.0"
    process = start_traffic("--slow-seconds", "0.3")
    wait_for(lambda: account.summary().answered > 0, "an answer")
    api.hangs = True
    # At 50 a second the oldest of 50 has waited for about a second.
    wait_for(lambda: account.summary().sent - account.summary().answered >= 50, "50 requests wait")
    api.hangs = False
    wait_for(lambda: bool(account.summary().slow_by_version), "slow answers")
    end(process)

    summary, late = account.summary(), list(account.slow())
    assert summary.is_clean
    assert summary.slow_by_version == {"1.1.0": len(late)}
    assert len(late) < summary.answered
    assert all((one.at - one.sent_at).total_seconds() > 0.3 for one in late)


def test_a_404_of_the_proxy_is_a_failed_request_and_the_apis_own_is_not(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    process = start_traffic()
    wait_for(lambda: account.summary().by_status.get("positions 200", 0) > 0, "positions answered")
    clean = account.summary()
    api.proxy_404 = True
    wait_for(lambda: account.summary().failed > 0, "a failure")
    end(process)
    assert clean.failed == 0
    assert {f.reason for f in account.summary().failures} == {"404"}
    assert {f.route for f in account.summary().failures} <= {"positions", "risk", "home"}


def test_a_proxy_that_restarts_costs_requests_but_not_the_generator(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    process = start_traffic()
    wait_for(lambda: account.summary().answered > 0, "an answer")
    api.stop()
    wait_for(lambda: account.summary().by_status.get("home connection", 0) > 0, "a refused connection")
    api.start()
    back = datetime.now(UTC)
    wait_for(lambda: account.summary(since=back).answered > 50, "answers after the restart")
    end(process)
    summary = account.summary()
    assert summary.sent == summary.answered + summary.failed
    assert {f.reason for f in summary.failures} == {"connection"}


def test_a_phase_is_cut_out_by_time(api: BendableApi, start_traffic: Start, account: TrafficAccount) -> None:
    process = start_traffic()
    wait_for(lambda: account.summary().answered > 100, "100 answers")
    api.fail_every = 1
    bent_at = datetime.now(UTC)
    wait_for(lambda: account.summary().failed > 10, "failures")
    end(process)
    whole, before, after = account.summary(), account.summary(until=bent_at), account.summary(since=bent_at)
    assert before.sent > 0
    assert after.failed > 0
    # phases are cut at whole seconds, so the second of the cut is in both
    assert before.sent + after.sent >= whole.sent
    assert whole.first_failure_at is not None
    assert whole.first_failure_at >= bent_at
    assert account.summary(since=datetime(2040, 1, 1, tzinfo=UTC)).is_clean is False, (
        "nothing sent is not clean"
    )


def test_a_killed_generator_goes_on_with_new_order_ids_on_the_same_account(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    first = start_traffic()
    wait_for(lambda: account.summary().sent > 100, "requests")
    os.kill(first.pid, signal.SIGKILL)
    first.wait(timeout=10)
    before = account.summary()
    with (account._folder / "orders.jsonl").open("a") as file:
        file.write('{"at":"2026-01-01T0')
    second = start_traffic()
    wait_for(lambda: account.summary().sent > before.sent + 100, "requests of the second run")
    end(second)
    assert max(api.orders.values()) == 1, "no order id was used twice"
    placed = [p.order.id for p in account.orders()]
    assert len(placed) == len(set(placed))
    assert account.summary().sent > before.sent


def test_a_second_generator_on_the_same_account_is_refused(
    start_traffic: Start, account: TrafficAccount
) -> None:
    first = start_traffic()
    wait_for(lambda: account.covered_until() is not None, "the account")
    second = start_traffic()
    _, errors = second.communicate(timeout=20)
    assert second.returncode == os.EX_TEMPFAIL
    assert "another traffic generator writes this account" in errors
    end(first)


def test_the_version_is_that_of_the_header(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    api.version, api.fail_every = "1.1.0", 3
    process = start_traffic()
    wait_for(lambda: account.summary().failed > 0, "a failure")
    end(process)
    summary = account.summary()
    assert set(summary.by_version) == {"1.1.0"}
    assert summary.failed_by_version == {"1.1.0": summary.failed}


def test_a_platform_that_hung_for_a_while_is_served_again_once_it_answers(
    api: BendableApi, start_traffic: Start, account: TrafficAccount
) -> None:
    api.hangs = True
    process = start_traffic(rps=300)
    wait_for(lambda: account.summary().sent > 1500, "a crowd of requests")
    api.hangs = False
    back = datetime.now(UTC)
    wait_for(lambda: account.summary(since=back).by_status.get("risk 200", 0) > 500, "answers again")
    end(process)


def test_a_request_whose_connection_is_lost_is_not_sent_again(
    start_traffic: Start, account: TrafficAccount
) -> None:
    with HangingUp() as server:
        process = start_traffic(front_door=server.url)
        wait_for(lambda: account.summary().by_status.get("risk connection", 0) > 20, "lost connections")
        end(process)
        assert server.requests == account.summary().sent == account.summary().failed
