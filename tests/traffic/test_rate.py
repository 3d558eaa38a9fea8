"""Clients send at the rate that was last asked for, and at the one they were started with when nobody asked."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from roundtrip.plan.environment import Environment
from roundtrip.plan.home import Home
from roundtrip.plan.loading import load_environment
from roundtrip.traffic.account import TrafficAccount
from roundtrip.traffic.rate import RATE, ask_for_traffic, asked_rate, traffic_folder
from tests.traffic.conftest import Start, wait_for

ENVIRONMENTS = Path(__file__).parents[2] / "include" / "environments"
STAGES = ("staging", "production")


@pytest.fixture
def environments() -> dict[str, Environment]:
    return {stage: load_environment(ENVIRONMENTS / f"local_{stage}.yaml") for stage in STAGES}


def rates(home: Home, environments: dict[str, Environment]) -> list[float | None]:
    return [asked_rate(traffic_folder(home, environments[stage].name)) for stage in STAGES]


def test_only_where_somebody_deploys_is_the_rate_full(
    tmp_path: Path, environments: dict[str, Environment]
) -> None:
    home = Home(tmp_path)
    full = [environment.traffic.requests_per_second for environment in environments.values()]  # type: ignore[union-attr]
    rest = [environment.traffic.at_rest for environment in environments.values()]  # type: ignore[union-attr]
    assert rates(home, environments) == [None, None]
    for stage, expected in (
        ("staging", [full[0], rest[1]]),
        ("production", [rest[0], full[1]]),
        (None, rest),
    ):
        ask_for_traffic(home, environments, full=stage)
        assert rates(home, environments) == expected


def test_nothing_is_asked_for_where_users_are(tmp_path: Path, environments: dict[str, Environment]) -> None:
    users = {
        stage: environment.model_copy(update={"traffic": None}) for stage, environment in environments.items()
    }
    ask_for_traffic(Home(tmp_path), users, full="production")
    assert not list(tmp_path.rglob(RATE))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"requests_per_second": 0}', '{"requests_per_second": "NaN"}']
)
def test_what_cannot_be_read_is_no_rate(tmp_path: Path, text: str) -> None:
    (tmp_path / RATE).write_text(text, encoding="utf-8")
    assert asked_rate(tmp_path) is None


def test_a_rate_that_cannot_be_asked_for_stops_nobody(
    tmp_path: Path, environments: dict[str, Environment], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "environments").write_text("no folder", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        ask_for_traffic(Home(tmp_path), environments, full="production")
    assert "cannot be asked for" in caplog.text


def test_a_running_generator_takes_up_another_rate(start_traffic: Start, account: TrafficAccount) -> None:
    process = start_traffic(rps=0.5)
    wait_for(lambda: account.covered_until() is not None, "the account")
    (account._folder / RATE).write_text('{"requests_per_second": 200}', encoding="utf-8")
    wait_for(lambda: account.summary().sent > 200, "200 requests, which take minutes at the first rate")
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 0
