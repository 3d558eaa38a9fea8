"""Each smoke test passes on a platform that keeps its contract, under other traffic, and fails on one
that does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from roundtrip.errors import SmokeError
from roundtrip.smoke import state, trading
from roundtrip.smoke.metrics import metrics_move
from roundtrip.smoke.pages import backtest, login_via_github, stale_cookies
from roundtrip.smoke.runner import SMOKE
from roundtrip.smoke.stable import stable_smoke
from roundtrip.smoke.state import state_across_replicas, state_survives_a_replica
from roundtrip.smoke.trading import make_trades, place, simulated_trades
from tests.smoke.conftest import MakePlatform, Platform

pytestmark = pytest.mark.integration

NEW_VERSION = ["backtest", "login-via-github", "metrics-move", "simulated-trades"]
NEW_VERSION += ["state-across-replicas", "state-survives-a-replica"]


@pytest.fixture
def other_traffic() -> Iterator[list[Platform]]:
    """Orders of somebody else, without pause, on each platform that a test puts into the list."""
    platforms: list[Platform] = []
    ended = threading.Event()

    def trade() -> None:
        while not ended.wait(0.02):
            for platform in list(platforms):
                with httpx.Client(base_url=platform.front.url, trust_env=False) as client:
                    place(client, make_trades(3))

    thread = threading.Thread(target=trade)
    thread.start()
    yield platforms
    ended.set()
    thread.join(timeout=10)


@pytest.mark.parametrize("name", NEW_VERSION)
def test_the_new_version_passes_while_others_trade(
    name: str, make_platform: MakePlatform, other_traffic: list[Platform]
) -> None:
    platform = make_platform()
    other_traffic.append(platform)
    SMOKE[name](platform.door())
    other_traffic.clear()


def test_the_stable_version_passes_while_others_trade(
    make_platform: MakePlatform, other_traffic: list[Platform]
) -> None:
    platform = make_platform(version="1.0.0", bends=("",))
    other_traffic.append(platform)
    stable_smoke(platform.door())
    stale_cookies(platform.door())
    other_traffic.clear()


def test_with_the_kill_switch_on_the_stable_version_rejects_every_order_and_that_is_right(
    make_platform: MakePlatform,
) -> None:
    """It may be the very reason why the new version was taken back, and it stays on."""
    stable_smoke(make_platform(version="1.0.0", bends=("killed",)).door())


@pytest.mark.parametrize(
    ("bend", "problem"),
    [
        ("refusing", r"orders filled exactly once: expected all 10, but \S+ rejected \(kill_switch\)"),
        ("deaf", r"orders rejected exactly once: expected all 10, but \S+ filled"),
    ],
)
def test_a_stable_version_that_does_not_do_as_its_kill_switch_says_is_found(
    bend: str, problem: str, make_platform: MakePlatform
) -> None:
    with pytest.raises(SmokeError, match=problem):
        stable_smoke(make_platform(version="1.0.0", bends=(bend,)).door())


def test_an_order_filled_twice_is_found(make_platform: MakePlatform) -> None:
    door = make_platform(bends=("twice",)).door()
    with pytest.raises(SmokeError, match="2 times"):
        simulated_trades(door)


def test_an_order_lost_is_found(make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trading, "FILL_LIMIT_SECONDS", 2.0)
    door = make_platform(bends=("lose",)).door()
    with pytest.raises(SmokeError, match=r"6 of 20 orders are not in the journal"):
        simulated_trades(door)


def test_a_replica_that_keeps_state_of_its_own_is_found(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "AGREE_LIMIT_SECONDS", 1.0)
    door = make_platform(bends=("", "drift", "")).door()
    with pytest.raises(SmokeError, match="Redis has"):
        state_across_replicas(door)


def test_a_single_replica_proves_nothing(make_platform: MakePlatform) -> None:
    with pytest.raises(SmokeError, match="expected at least 2 replicas, got 1"):
        state_across_replicas(make_platform(bends=("",)).door())


def test_a_replica_that_does_not_come_back_is_found(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RETURN_LIMIT_SECONDS", 1.0)
    with pytest.raises(SmokeError, match=r"not within 1 s: 127\.0\.0\.1:"):
        state_survives_a_replica(make_platform(replaces_killed=False).door())


def test_a_counter_that_stands_still_is_found(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roundtrip.smoke.metrics.SETTLE_LIMIT_SECONDS", 0.5)
    platform = make_platform(bends=("", "silent", ""))
    with pytest.raises(SmokeError, match="handled by the workers: expected 20 to 20, counters moved by"):
        metrics_move(platform.door())
    platform.front.counts_metrics = False
    with pytest.raises(SmokeError, match="accepted by the api: expected 20 to 20, counters moved by 0"):
        metrics_move(platform.door())


def test_a_session_that_outlives_signing_out_is_found(make_platform: MakePlatform) -> None:
    platform = make_platform(bends=("",))
    platform.front.keeps_session = True
    with pytest.raises(SmokeError, match="expected no session after signing out, got one"):
        login_via_github(platform.door())


def test_a_wrong_client_secret_fails_the_login_and_is_not_in_the_error(make_platform: MakePlatform) -> None:
    platform = make_platform(bends=("",))
    platform.front.client_secret = "recognisable-secret"
    with pytest.raises(SmokeError, match="signing in ended at") as caught:
        login_via_github(platform.door())
    assert "recognisable-secret" not in str(caught.value)


def test_an_old_ui_that_minds_a_stale_session_is_found(make_platform: MakePlatform) -> None:
    platform = make_platform(version="1.0.0", bends=("",))
    platform.front.minds_cookies = True
    with pytest.raises(SmokeError, match="status: expected 200, got 307"):
        stale_cookies(platform.door())


def test_the_new_uis_pages_left_behind_are_found(make_platform: MakePlatform) -> None:
    with pytest.raises(SmokeError, match=r"status: expected 404, got 200"):
        stale_cookies(make_platform(bends=("",)).door())


def test_backtests_that_differ_are_found(make_platform: MakePlatform) -> None:
    platform = make_platform(bends=("",))
    platform.front.random_backtests = True
    with pytest.raises(SmokeError, match="another result the second time"):
        backtest(platform.door())


def test_nothing_to_test_is_an_error(make_platform: MakePlatform) -> None:
    door = make_platform(bends=("",)).door()
    door.scrape_file.write_text("[]")
    with pytest.raises(SmokeError, match="expected at least one instance, got none"):
        metrics_move(door)
    assert "redis://" not in repr(door), "the address of Redis has a password in it"
