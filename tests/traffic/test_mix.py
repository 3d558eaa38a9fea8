"""Laws of the mix and of the account's reading side."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundtrip.affinity import cookie_value
from roundtrip.errors import EvidenceError, PlanError
from roundtrip.traffic.account import TrafficAccount
from roundtrip.traffic.mix import SHARES, Mix, is_answer
from roundtrip.traffic.record import Record
from roundtrip.traffic.served_by import ServedBy


def mix(seed: int = 1, run: int = 1) -> Mix:
    return Mix(seed=seed, run=run, requests_per_second=50, clients=8, fresh_percent=25)


def test_the_shares_are_percent() -> None:
    assert sum(SHARES.values()) == 100


@given(st.integers(), st.integers(min_value=1))
def test_the_same_seed_and_run_draw_the_same_requests(seed: int, run: int) -> None:
    one, other = mix(seed, run), mix(seed, run)
    assert [(one.gap_seconds(), one.draw()) for _ in range(50)] == [
        (other.gap_seconds(), other.draw()) for _ in range(50)
    ]


@given(st.integers())
def test_no_order_id_of_a_run_comes_again_in_another(seed: int) -> None:
    ids = []
    for run in (1, 2, 3):
        drawn = mix(seed, run)
        ids += [p.order.id for p in (drawn.draw() for _ in range(100)) if p.order is not None]
    assert len(ids) == len(set(ids))


def test_arrivals_are_as_many_as_asked_for() -> None:
    drawn = mix()
    seconds = sum(drawn.gap_seconds() for _ in range(20_000))
    assert 20_000 / seconds == pytest.approx(50, rel=0.03)


@pytest.mark.parametrize(
    ("rps", "clients", "fresh"), [(0, 1, 0), (-1, 1, 0), (float("nan"), 1, 0), (1, 0, 0), (1, 1, 101)]
)
def test_a_mix_that_cannot_be_drawn_is_refused(rps: float, clients: int, fresh: float) -> None:
    with pytest.raises(PlanError, match="expected"):
        Mix(seed=1, run=1, requests_per_second=rps, clients=clients, fresh_percent=fresh)


@pytest.mark.parametrize(
    ("route", "status", "content_type", "expected"),
    [
        ("place order", 202, "application/json", True),
        ("place order", 400, "application/json", False),
        ("read order", 404, "application/json; charset=utf-8", True),
        ("read order", 404, "text/plain; charset=utf-8", False),
        ("positions", 404, "application/json", False),
        ("home", 302, "", False),
        ("risk", 503, "application/json", False),
    ],
)
def test_only_what_the_contract_says_is_an_answer(
    route: str, status: int, content_type: str, expected: bool
) -> None:
    assert is_answer(route, status, content_type) is expected


def test_an_account_that_does_not_reach_the_moment_is_not_waited_for_without_end(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    Record(tmp_path, seed=1).flush(now)
    account = TrafficAccount(tmp_path)
    account.wait_covered(now - timedelta(seconds=2), limit_seconds=0)
    began = time.monotonic()
    with pytest.raises(EvidenceError, match="expected to reach"):
        account.wait_covered(now + timedelta(seconds=60), limit_seconds=0.3)
    assert time.monotonic() - began < 5


def test_a_folder_where_no_traffic_ever_ran_is_not_clean(tmp_path: Path) -> None:
    summary = TrafficAccount(tmp_path / "nothing").summary()
    assert (summary.sent, summary.failed, summary.covered_until) == (0, 0, None)
    assert not summary.is_clean


def test_the_version_is_told_by_the_one_cookie_whichever_service_gave_it() -> None:
    served_by = ServedBy(["1.0.0", "1.1.0"])
    # as Traefik 3.7 set it for a weighted service over one named api-1-1-0
    assert cookie_value("api", "1.1.0") == "e7747d4b3c04b272"
    assert served_by({}, {"rt-release": "e7747d4b3c04b272"}) == "1.1.0"
    assert served_by({}, {"rt-release": cookie_value("ops-ui", "1.0.0")}) == "1.0.0"
    assert served_by({}, {}) == "unknown"
    assert served_by({}, {"rt-release": "another"}) == "unknown"
    assert served_by({"x-version": "2.0.0"}, {"rt-release": "e7747d4b3c04b272"}) == "2.0.0"
