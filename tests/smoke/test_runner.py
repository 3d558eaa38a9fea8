"""The runner: what it records in the ledger, and what it raises."""

from __future__ import annotations

from pathlib import Path

import pytest

from roundtrip.errors import SmokeError
from roundtrip.ledger.ledger import Ledger
from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.model import Plan
from roundtrip.release import Release
from roundtrip.smoke.runner import run_smoke
from roundtrip.targets.protocol import Addresses
from tests.smoke.conftest import MakePlatform, Platform

pytestmark = pytest.mark.integration


class TargetOf:
    """The part of a target that a smoke test asks for."""

    def __init__(self, platform: Platform) -> None:
        self._door = platform.door()

    def addresses(self) -> Addresses:
        door = self._door
        return Addresses(door.front_door, door.front_door, door.front_door, door.scrape_file)

    def redis_url(self) -> str:
        return self._door.redis_url


def release_of(platform: Platform, folder: Path) -> Release:
    connections = {"secrets_connection": "secrets", "signing_connection": "signing"}
    environment = Environment(name="local_staging", stage="staging", target={"kind": "local"}, **connections)
    return Release(
        id="r1",
        plan=Plan.model_construct(name="a_plan"),
        environments={"staging": environment},
        ledger=Ledger(f"sqlite:///{folder / 'ledger.db'}"),
        home=Home(folder),
        secrets=lambda _: {},
        open_target=lambda _: TargetOf(platform),
    )


def test_a_pass_is_in_the_ledger_once_also_when_the_task_runs_twice(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    release = release_of(make_platform(bends=("",)), tmp_path)
    for _ in range(2):
        run_smoke(release, "staging", "1.1.0", ["backtest"])
    results = release.ledger.events("r1", kind="smoke.result")
    assert [(e.key, e.data["ok"], e.data["test"]) for e in results] == [
        ("local_staging/1.1.0/backtest", True, "backtest")
    ]
    assert results[0].data["seconds"] >= 0


def test_all_tests_run_and_all_failures_are_in_the_error(make_platform: MakePlatform, tmp_path: Path) -> None:
    platform = make_platform(bends=("",))
    platform.front.random_backtests = platform.front.keeps_session = True
    release = release_of(platform, tmp_path)
    with pytest.raises(SmokeError, match="2 of 3 smoke tests failed") as caught:
        run_smoke(release, "staging", "1.1.0", ["backtest", "simulated_trades", "login-via-github"])
    assert "another result the second time" in str(caught.value)
    assert "session after signing out" in str(caught.value)
    assert release.ledger.last("r1", "smoke.result", "local_staging/1.1.0/simulated_trades") is not None
    assert release.ledger.last("r1", "smoke.result", "local_staging/1.1.0/backtest") is None


def test_a_later_pass_is_not_hidden_by_the_failure_before(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    platform = make_platform(bends=("",))
    release = release_of(platform, tmp_path)
    platform.front.random_backtests = True
    with pytest.raises(SmokeError):
        run_smoke(release, "staging", "1.1.0", ["backtest"])
    platform.front.random_backtests = False
    run_smoke(release, "staging", "1.1.0", ["backtest"])
    passed = release.ledger.last("r1", "smoke.result", "local_staging/1.1.0/backtest")
    assert passed is not None
    assert passed.data["ok"] is True
    assert [e.data["ok"] for e in release.ledger.events("r1", kind="smoke.result")] == [False, True]


def test_no_test_and_an_unknown_test_are_errors_before_anything_runs(
    make_platform: MakePlatform, tmp_path: Path
) -> None:
    release = release_of(make_platform(bends=("",)), tmp_path)
    with pytest.raises(SmokeError, match="expected at least one smoke test, got none"):
        run_smoke(release, "staging", "1.1.0", [])
    with pytest.raises(SmokeError, match=r"no smoke test 'no-such', known: login-via-github, backtest"):
        run_smoke(release, "staging", "1.1.0", ["backtest", "no-such"])
    assert release.ledger.events("r1") == []


def test_a_redis_that_is_not_there_is_a_failed_test(make_platform: MakePlatform, tmp_path: Path) -> None:
    platform = make_platform(bends=("",))
    platform.redis_url = "redis://:recognisable-secret@127.0.0.1:1/0"
    release = release_of(platform, tmp_path)
    with pytest.raises(SmokeError, match="the platform's Redis") as caught:
        run_smoke(release, "staging", "1.1.0", ["simulated-trades"])
    assert "recognisable-secret" not in str(caught.value)
    assert "recognisable-secret" not in str(release.ledger.events("r1"))
